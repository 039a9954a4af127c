"""Trains State's transition model (arc-state 0.11.1) on a task folder and predicts.

It runs in an environment of its own. Training is the package's command ``state tx train`` on files
in its layout; prediction repeats what ``state tx infer`` does with the trained model: one
perturbation and one cell type at a time, over sets of control cells.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dygenept_child import (
    CONTROL,
    Answer,
    Order,
    Profiles,
    profiles_of,
    read_gene_vectors,
    read_order,
    seed_everything,
    target_genes,
)
from scipy import sparse

DATASET = "task"
FOLDER = Path("state_files")
# What the package's console script does; an environment is moved after it was built, and the first
# line of its scripts names the old place.
COMMAND = "from state.__main__ import main; main()"
# Control cells that a prediction is averaged over.
N_CELLS = 512


def main() -> None:
    """Read the task, train, predict, and leave the answer."""
    import anndata

    order = read_order()
    cells = anndata.read_h5ad("train.h5ad")
    profiles = profiles_of(cells)
    vectors = read_gene_vectors()
    if order.device.startswith("cuda"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", order.device.partition(":")[2] or "0")
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    labels = sorted({*profiles.labels, *(asked.perturbation for asked in order.predict)})
    features = features_of(labels, vectors)
    write_inputs(cells, profiles, features, order)
    train(order)
    model = trained_model()
    pools = control_pools(cells)
    answer = Answer()
    for asked in order.predict:
        absent = [gene for gene in asked.genes if gene not in vectors]
        if absent:
            answer.add_mean(asked, profiles, f"State has no features of {', '.join(absent)}")
        else:
            vector = features[asked.perturbation]
            answer.add(asked, predicted(model, vector, pools[asked.cell_type], order.seed))
    answer.write()


def features_of(labels: Sequence[str], vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the sum of each perturbation's gene vectors, (D,); zeros for ``ctrl``.

    A perturbation of a gene without a vector is absent.
    """
    width = len(next(iter(vectors.values())))
    found = {CONTROL: np.zeros(width, dtype=np.float32)}
    for label in labels:
        genes = target_genes(label)
        if all(gene in vectors for gene in genes):
            found[label] = np.sum([vectors[gene] for gene in genes], axis=0, dtype=np.float32)
    return found


def write_inputs(
    cells: Any, profiles: Profiles, features: Mapping[str, np.ndarray], order: Order
) -> None:
    """Write cells, features and split as ``state tx train`` reads them."""
    import anndata
    import pandas as pd
    import torch

    FOLDER.mkdir()
    kept = np.flatnonzero(cells.obs["condition"].astype(str).isin(list(features)))
    expression = sparse.csr_matrix(cells.X)[kept].astype(np.float32)
    obs = pd.DataFrame(
        {
            "gene": pd.Categorical(cells.obs["condition"].astype(str).to_numpy()[kept]),
            "cell_type": pd.Categorical(cells.obs["cell_type"].astype(str).to_numpy()[kept]),
            "gem_group": pd.Categorical(["1"] * len(kept)),
        },
        index=cells.obs_names[kept],
    )
    data = anndata.AnnData(expression, obs=obs, var=pd.DataFrame(index=list(order.gene_ids)))
    data.obsm["X_hvg"] = expression.toarray()
    data.uns["log1p"] = {"base": np.e}
    data.write_h5ad(FOLDER / "cells.h5ad")
    torch.save(
        {label: torch.from_numpy(vector) for label, vector in features.items()},
        FOLDER / "features.pt",
    )
    (FOLDER / "split.toml").write_text(split_toml(profiles, features), encoding="utf-8")


def split_toml(profiles: Profiles, features: Mapping[str, np.ndarray]) -> str:
    """Return the split in cell-load's layout: validation perturbations of each cell type."""
    lines = ["[datasets]", f'{DATASET} = "{(FOLDER / "cells.h5ad").absolute()}"']
    lines += ["[training]", f'{DATASET} = "train"', "[zeroshot]", "[fewshot]"]
    for cell_type in sorted(set(profiles.cell_types)):
        labels = [
            label
            for label, name, part in zip(
                profiles.labels, profiles.cell_types, profiles.parts, strict=True
            )
            if (name, part) == (cell_type, "val") and label in features
        ]
        if labels:
            quoted = ", ".join(f'"{label}"' for label in labels)
            lines += [f'[fewshot."{DATASET}.{cell_type}"]', f"val = [{quoted}]", "test = []"]
    return "\n".join(lines) + "\n"


def overrides(order: Order) -> list[str]:
    """Return what is set on the command line of ``state tx train``."""
    options = order.options
    words = [
        f"model={options['model']}",
        f"data.kwargs.toml_config_path={(FOLDER / 'split.toml').absolute()}",
        f"data.kwargs.perturbation_features_file={(FOLDER / 'features.pt').absolute()}",
        "data.kwargs.embed_key=X_hvg",
        "data.kwargs.output_space=gene",
        "data.kwargs.pert_col=gene",
        "data.kwargs.batch_col=gem_group",
        "data.kwargs.cell_type_key=cell_type",
        f"data.kwargs.control_pert={CONTROL}",
        "data.kwargs.num_workers=0",
        f"+data.kwargs.random_seed={order.seed % 2**32}",
        f"training.train_seed={order.seed % 2**32}",
        f"training.max_steps={options['max_steps']}",
        f"training.batch_size={options['batch_size']}",
        f"training.lr={options['lr']}",
        f"training.val_freq={min(options['val_freq'], options['max_steps'])}",
        f"training.ckpt_every_n_steps={min(options['val_freq'], options['max_steps'])}",
        "use_wandb=false",
        f"output_dir={FOLDER.absolute()}",
        "name=run",
    ]
    if options["cell_set_len"] is not None:
        words.append(f"model.kwargs.cell_set_len={options['cell_set_len']}")
    return words


def train(order: Order) -> None:
    """Run the package's command; its output goes to this process's error output."""
    command = [sys.executable, "-c", COMMAND, "tx", "train", *overrides(order)]
    environment = {**os.environ, "WANDB_MODE": "disabled"}
    done = subprocess.run(command, stdout=sys.stderr, check=False, env=environment)
    if done.returncode:
        sys.exit(f"`state tx train` ended with exit code {done.returncode}")


def trained_model() -> Any:
    """Load the model that training left, which this process's child wrote a moment ago."""
    import torch
    from state.tx.models.state_transition import StateTransitionPerturbationModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = StateTransitionPerturbationModel.load_from_checkpoint(
        FOLDER / "run" / "checkpoints" / "final.ckpt", map_location=device, weights_only=False
    )
    return model.eval()


def control_pools(cells: Any) -> dict[str, np.ndarray]:
    """Return each cell type's control cells, (n, G)."""
    cell_type = cells.obs["cell_type"].astype(str).to_numpy()
    is_control = cells.obs["part"].astype(str).to_numpy() == "control"
    return {
        name: sparse.csr_matrix(cells.X[np.flatnonzero(is_control & (cell_type == name))])
        .toarray()
        .astype(np.float32)
        for name in sorted(set(cell_type))
    }


def predicted(model: Any, vector: np.ndarray, pool: np.ndarray, seed: int) -> np.ndarray:
    """Mean of the cells that the model makes of control cells, (G,).

    The control cells drawn do not depend on what else is predicted.
    """
    import torch

    seed_everything(seed)
    rng = np.random.default_rng(seed)
    drawn = pool[rng.choice(len(pool), N_CELLS, replace=len(pool) < N_CELLS)]
    size = model.cell_sentence_len
    total = np.zeros(pool.shape[1])
    with torch.no_grad():
        for start in range(0, N_CELLS, size):
            basal = torch.from_numpy(drawn[start : start + size]).to(model.device)
            features = torch.from_numpy(vector).to(model.device).repeat(len(basal), 1)
            batch = {"pert_emb": features, "ctrl_cell_emb": basal}
            made = model.predict_step(batch, 0, padded=False)["preds"]
            total += made.double().cpu().numpy().reshape(len(basal), -1).sum(axis=0)
    return total / N_CELLS


if __name__ == "__main__":
    main()
