"""Trains biolord (0.0.3) on the mean profiles of a task folder and predicts.

It runs in an environment of its own. Model and training are the package's; what goes in, how
combinations are put together and every hyper-parameter follow ``scripts/biolord/norman`` of the
authors' reproduction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dygenept_child import (
    CONTROL,
    Answer,
    Asked,
    Order,
    Profiles,
    read_order,
    read_profiles,
    seed_everything,
    target_genes,
)
from scipy import sparse

# GEARS' own threshold: gene pairs with a smaller Jaccard index of GO terms are not joined.
MIN_JACCARD = 0.1
NEIGHBORS = "perturbation_neighbors"
MODULE = {
    "decoder_width": 32,
    "decoder_depth": 2,
    "decoder_activation": True,
    "attribute_nn_width": 64,
    "attribute_nn_depth": 2,
    "attribute_nn_activation": True,
    "attribute_dropout_rate": 0.0,
    "use_batch_norm": False,
    "use_layer_norm": False,
    "unknown_attribute_noise_param": 0.2,
    "unknown_attributes": False,
    "n_latent_attribute_ordered": 32,
    "n_latent_attribute_categorical": 16,
    "reconstruction_penalty": 10000.0,
}
TRAINER = {
    "n_epochs_warmup": 0,
    "latent_lr": 0.01,
    "latent_wd": 0.00001,
    "attribute_nn_lr": 0.001,
    "attribute_nn_wd": 4e-8,
    "step_size_lr": 45,
    "cosine_scheduler": True,
    "scheduler_final_lr": 1e-5,
    "decoder_lr": 0.01,
    "decoder_wd": 0.01,
}
PATIENCE, CHECK_EVERY = 200, 5


def main() -> None:
    """Read the task, train, predict, and leave the answer."""
    order = read_order()
    profiles = read_profiles()
    terms = {
        gene: set(found) for gene, found in json.loads(Path("gene2go.json").read_text()).items()
    }
    seen = {gene for label in profiles.labels for gene in target_genes(label)}
    targets = sorted({*seen, *(gene for asked in order.predict for gene in asked.genes)})
    vectors = neighborhoods(targets, terms, order.options["n_neighbors"])
    vectors = features(vectors, seen, order.options["min_weight"])
    seed_everything(order.seed)
    answer = Answer()
    predictor = Predictor(profiles, vectors, order)
    for asked in order.predict:
        absent = [gene for gene in asked.genes if not predictor.can(gene, asked.cell_type)]
        if absent:
            why = f"biolord cannot represent {', '.join(absent)} (no GO term)"
            answer.add_mean(asked, profiles, why)
        else:
            answer.add(asked, predictor.predicted(asked))
    answer.write()


def neighborhoods(
    targets: Sequence[str], terms: Mapping[str, set[str]], n_neighbors: int
) -> dict[str, np.ndarray]:
    """Return each target's weights over all genes with GO terms, (n_genes,): its neighbours'.

    A weight is the Jaccard index of two genes' terms where it is above 0.1 and among the largest
    ``n_neighbors`` and the gene's own, else zero. A target without terms is absent.
    """
    genes = sorted(terms)
    names = {term: column for column, term in enumerate(sorted(set().union(*terms.values())))}
    pairs = [(row, names[term]) for row, gene in enumerate(genes) for term in terms[gene]]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    member = sparse.csr_matrix((np.ones(len(pairs)), (rows, columns)), (len(genes), len(names)))
    sizes = np.asarray(member.sum(axis=1)).ravel()
    found = {}
    for target in targets:
        if target not in terms:
            continue
        row = genes.index(target)
        shared = np.asarray((member @ member[row].T).todense()).ravel()
        jaccard = shared / (sizes + sizes[row] - shared)
        nearest = np.argsort(-jaccard, kind="stable")[: n_neighbors + 1]
        weights = np.zeros(len(genes), dtype=np.float32)
        weights[nearest] = np.where(jaccard[nearest] > MIN_JACCARD, jaccard[nearest], 0.0)
        found[target] = weights
    return found


def features(
    vectors: Mapping[str, np.ndarray], seen: set[str], min_weight: float
) -> dict[str, np.ndarray]:
    """Keep the genes whose weight, summed over the perturbed genes, is above a level.

    The sum is over train and validation targets alone, so that no prediction depends on what else
    is asked for. Where nothing would be left, every gene that has a weight is kept.
    """
    total = np.sum([weights for gene, weights in vectors.items() if gene in seen], axis=0)
    kept = total > min_weight
    if not kept.any():
        kept = total > 0
    return {gene: weights[kept] for gene, weights in vectors.items()}


class Predictor:
    """A trained biolord, and the profiles that it was trained on."""

    def __init__(self, profiles: Profiles, vectors: Mapping[str, np.ndarray], order: Order) -> None:
        self.profiles = profiles
        self.vectors = vectors
        self.observed = {
            (target_genes(label)[0], cell_type): row
            for row, (label, cell_type, part) in enumerate(
                zip(profiles.labels, profiles.cell_types, profiles.parts, strict=True)
            )
            if part == "train" and len(target_genes(label)) == 1
        }
        self.cells = training_cells(profiles, vectors)
        self.model = trained(self.cells, order)

    def can(self, gene: str, cell_type: str) -> bool:
        """True if the change of a gene was observed in train, or can be predicted."""
        return gene in self.vectors or (gene, cell_type) in self.observed

    def predicted(self, asked: Asked) -> np.ndarray:
        """Control plus the sum of the target genes' changes, (G,)."""
        control = self.profiles.controls[asked.cell_type]
        if len(asked.genes) == 1:
            gene = asked.genes[0]
            if gene in self.vectors:
                return self.expression(gene, asked.cell_type)
        changes = [self._of(gene, asked.cell_type) - control for gene in asked.genes]
        return np.asarray(control + np.sum(changes, axis=0))

    def expression(self, gene: str, cell_type: str) -> np.ndarray:
        """What the model makes of the control profile with a gene's neighbourhood, (G,)."""
        import torch

        at = self.cells.obs_names.get_loc(f"{CONTROL} {cell_type}")
        data = self.model.get_dataset(self.cells, indices=[at])
        data[NEIGHBORS] = torch.from_numpy(self.vectors[gene])[None]
        self.model.module.eval()
        with torch.no_grad():
            mean, _ = self.model.module.get_expression(data)
        return np.asarray(mean.cpu().numpy(), dtype=np.float64).ravel()

    def _of(self, gene: str, cell_type: str) -> np.ndarray:
        row = self.observed.get((gene, cell_type))
        return self.expression(gene, cell_type) if row is None else self.profiles.means[row]


def training_cells(profiles: Profiles, vectors: Mapping[str, np.ndarray]) -> Any:
    """Return the profiles of single perturbations with neighbourhoods, and of controls."""
    import anndata
    import pandas as pd

    width = len(next(iter(vectors.values()))) if vectors else 1
    names, types, splits, inputs, rows = [], [], [], [], []
    for row, label in enumerate(profiles.labels):
        genes = target_genes(label)
        if len(genes) != 1 or genes[0] not in vectors:
            continue
        names.append(f"{label} {profiles.cell_types[row]}")
        types.append(profiles.cell_types[row])
        # The package calls the part that training is stopped by "test".
        splits.append("train" if profiles.parts[row] == "train" else "test")
        inputs.append(vectors[genes[0]])
        rows.append(profiles.means[row])
    for cell_type, control in profiles.controls.items():
        names.append(f"{CONTROL} {cell_type}")
        types.append(cell_type)
        splits.append("train")
        inputs.append(np.zeros(width, dtype=np.float32))
        rows.append(control)
    cells = anndata.AnnData(
        np.asarray(rows, dtype=np.float32),
        obs=pd.DataFrame({"cell_type": pd.Categorical(types), "split": splits}, index=names),
    )
    cells.obsm[NEIGHBORS] = np.asarray(inputs, dtype=np.float32)
    return cells


def trained(cells: Any, order: Order) -> Any:
    """Train biolord on profiles; stopped by the validation profiles, if there are any."""
    import biolord

    several = cells.obs["cell_type"].nunique() > 1
    biolord.Biolord.setup_anndata(
        cells,
        ordered_attributes_keys=[NEIGHBORS],
        categorical_attributes_keys=["cell_type"] if several else None,
    )
    has_val = (cells.obs["split"] == "test").any()
    model = biolord.Biolord(
        adata=cells,
        n_latent=order.options["n_latent"],
        model_name="task",
        module_params={**MODULE, "seed": order.seed % 2**32},
        split_key="split",
        valid_split="test" if has_val else "train",
    )
    is_gpu = order.device.startswith("cuda")
    model.train(
        max_epochs=order.options["epochs"],
        accelerator="gpu" if is_gpu else "cpu",
        device=[int(order.device.partition(":")[2] or 0)] if is_gpu else "auto",
        batch_size=order.options["batch_size"],
        plan_kwargs=TRAINER,
        early_stopping=True,
        early_stopping_patience=PATIENCE,
        check_val_every_n_epoch=CHECK_EVERY,
        enable_checkpointing=False,
    )
    return model


if __name__ == "__main__":
    main()
