"""Fine-tunes scGPT (0.2.4) on perturbations from the files of a task folder and predicts.

It runs in an environment of its own and imports nothing from dygenept. The model, its prediction
and its loss are the package's (``TransformerGenerator``, ``pred_perturb``, ``masked_mse_loss``);
the loop around them follows the package's perturbation tutorial, which ships no function for it.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import importlib.util
import json
import logging
import random
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import torch
from scipy import sparse

POOL_SIZE = 300
# From this generation on an NVIDIA GPU computes in bfloat16 natively.
FIRST_WITH_BF16 = 8
LOADED = ("encoder", "value_encoder", "transformer_encoder")


class Batch:
    """A batch as ``pred_perturb`` reads it: columns of expression and of perturbation flags."""

    def __init__(self, expression: torch.Tensor, flags: torch.Tensor) -> None:
        self.pert = [""] * len(expression)
        self.x = torch.stack([expression.reshape(-1), flags.reshape(-1)], dim=1)

    def to(self, device: torch.device) -> Batch:
        """Move to a device."""
        self.x = self.x.to(device)
        return self


class Cells:
    """Pairs of a control cell and a perturbed cell of the same cell type."""

    def __init__(self, adata: Any, symbols: list[str]) -> None:
        self.expression = sparse.csr_matrix(adata.X).toarray().astype(np.float32)
        self.condition = adata.obs["condition"].astype(str).to_numpy()
        self.cell_type = adata.obs["cell_type"].astype(str).to_numpy()
        self.part = adata.obs["part"].astype(str).to_numpy()
        self.column: dict[str, int] = {}
        for number, symbol in enumerate(symbols):
            self.column.setdefault(symbol, number)

    def can_flag(self, genes: list[str]) -> bool:
        """True if every target gene is an output gene: scGPT marks the gene's own token."""
        return all(gene in self.column for gene in genes)

    def flags(self, genes: list[str]) -> np.ndarray:
        """Mark target genes among the output genes, (G,)."""
        marks = np.zeros(self.expression.shape[1], dtype=np.float32)
        marks[[self.column[gene] for gene in genes]] = 1.0
        return marks

    def controls(self, cell_type: str) -> np.ndarray:
        """Rows of a cell type's control cells."""
        return np.flatnonzero((self.part == "control") & (self.cell_type == cell_type))

    def rows(self, *parts: str) -> np.ndarray:
        """Rows of some parts that scGPT can represent."""
        usable = {
            label: self.can_flag([gene for gene in label.split("+") if gene != "ctrl"])
            for label in set(self.condition)
        }
        kept = [
            part in parts and usable[label]
            for part, label in zip(self.part, self.condition, strict=True)
        ]
        return np.flatnonzero(kept)

    def batch(
        self, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return basal expression, flags and target expression, (B, G) each."""
        basal = rows.copy()
        for position, row in enumerate(rows):
            if self.part[row] != "control":
                basal[position] = rng.choice(self.controls(self.cell_type[row]))
        labels = [self.condition[row].split("+") for row in rows]
        flags = np.stack([self.flags([g for g in label if g != "ctrl"]) for label in labels])
        return (
            torch.from_numpy(self.expression[basal]),
            torch.from_numpy(flags),
            torch.from_numpy(self.expression[rows]),
        )


@dataclass(frozen=True)
class Plan:
    """What fine-tuning and prediction are given besides the model.

    Attributes:
        cells: The task's cells.
        ids: Vocabulary id of each output gene, (G,).
        options: Options of the baseline.
        seed: Decides order, basal cells and sampled genes.
    """

    cells: Cells
    ids: np.ndarray
    options: dict[str, Any]
    seed: int


def main() -> None:
    """Read the task, fine-tune, predict, and leave predictions.npz and notes.txt."""
    task = json.loads(Path("task.json").read_text())
    options, seed = task["options"], task["seed"]
    random.seed(seed)
    torch.manual_seed(seed)
    # The official class breaks on the fast path when only some of its weights are trained.
    torch.backends.mha.set_fastpath_enabled(False)
    device = torch.device(task["device"])
    cells = Cells(anndata.read_h5ad("train.h5ad"), task["gene_symbols"])
    train, val = cells.rows("train", "control"), cells.rows("val")
    if not (cells.part[train] == "train").any():
        sys.exit(
            "scGPT marks the perturbed gene's own token, and no train perturbation's target is "
            "among the output genes of this data set"
        )
    vocabulary, model, notes = load_model(Path(options["checkpoint"]), options["dropout"])
    unknown = [gene for gene in cells.column if gene not in vocabulary]
    if unknown:
        notes.append(f"{len(unknown)} output genes are not in scGPT's vocabulary and read as <pad>")
    ids = np.array([vocabulary.get(s, vocabulary["<pad>"]) for s in task["gene_symbols"]])
    plan = Plan(cells, ids, options, seed)
    model = fine_tuned(model.to(device), plan, train, val)
    means = train_means(cells)
    rows = []
    for item in task["predict"]:
        if cells.can_flag(item["genes"]):
            rows.append(predicted(model, plan, item))
            continue
        absent = [gene for gene in item["genes"] if gene not in cells.column]
        notes.append(
            f"{item['perturbation']}: scGPT cannot represent {', '.join(absent)} (no output gene); "
            "the mean of the train perturbations stands in"
        )
        rows.append(means[item["cell_type"]])
    np.savez(
        "predictions.npz",
        perturbation=np.array([item["perturbation"] for item in task["predict"]]),
        cell_type=np.array([item["cell_type"] for item in task["predict"]]),
        expression=np.asarray(rows, dtype=np.float64),
    )
    Path("notes.txt").write_text("\n".join(notes))


@functools.lru_cache(maxsize=1)
def import_scgpt() -> tuple[Any, Any]:
    """Import the package's model and loss without its package file, which imports torchtext."""
    found = importlib.util.find_spec("scgpt")
    if found is None or found.submodule_search_locations is None:
        sys.exit("the scgpt package is not in this environment")
    package = types.ModuleType("scgpt")
    package.__path__ = list(found.submodule_search_locations)
    package.logger = logging.getLogger("scgpt")  # type: ignore[attr-defined]
    utils = types.ModuleType("scgpt.utils")
    utils.map_raw_id_to_vocab_id = vocabulary_ids  # type: ignore[attr-defined]
    sys.modules.update({"scgpt": package, "scgpt.utils": utils})
    return (
        importlib.import_module("scgpt.model").TransformerGenerator,
        importlib.import_module("scgpt.loss").masked_mse_loss,
    )


def vocabulary_ids(raw: torch.Tensor, ids: np.ndarray) -> torch.Tensor:
    """Look positions of output genes up in the vocabulary."""
    return torch.from_numpy(ids)[raw.cpu()].to(raw.device, raw.dtype)


def load_model(folder: Path, dropout: float) -> tuple[dict[str, int], Any, list[str]]:
    """Build the package's generator and load what the checkpoint has for its encoders."""
    generator, _ = import_scgpt()
    arguments = json.loads((folder / "args.json").read_text())
    vocabulary = json.loads((folder / "vocab.json").read_text())
    model = generator(
        len(vocabulary),
        arguments["embsize"],
        arguments["nheads"],
        arguments["d_hid"],
        arguments["nlayers"],
        nlayers_cls=arguments.get("n_layers_cls", 3),
        n_cls=1,
        vocab=vocabulary,
        dropout=dropout,
        pad_token="<pad>",
        pad_value=0,
        pert_pad_id=0,
        use_fast_transformer=False,
    )
    path = folder / "best_model.pt"
    weights = torch.load(path, map_location="cpu", weights_only=True)
    weights = {
        name.replace("self_attn.Wqkv.", "self_attn.in_proj_"): w for name, w in weights.items()
    }
    own = model.state_dict()
    fitting = {
        name: weight
        for name, weight in weights.items()
        if name.split(".")[0] in LOADED and name in own and own[name].shape == weight.shape
    }
    wanted = [name for name in own if name.split(".")[0] in LOADED]
    if absent := [name for name in wanted if name not in fitting]:
        sys.exit(f"{path} lacks {len(absent)} of {len(wanted)} weights, such as {absent[0]}")
    own.update(fitting)
    model.load_state_dict(own)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return vocabulary, model, [f"checkpoint {path.name}, SHA-256 {digest[:16]}"]


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 on a GPU that has it, float16 on an older one; None, float32, on a CPU."""
    if device.type != "cuda":
        return None
    generation, _ = torch.cuda.get_device_capability(device)
    has_bf16 = bool(torch.version.hip) or generation >= FIRST_WITH_BF16
    return torch.bfloat16 if has_bf16 else torch.float16


class Steps:
    """Clipped steps of an optimiser, with a loss that is scaled up in float16.

    Small gradients underflow in float16; bfloat16 has float32's range and needs no scale.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, dtype: torch.dtype | None
    ) -> None:
        """Set up for the type that the forward pass computes in."""
        self.optimizer = optimizer
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)

    def take(self, loss: torch.Tensor) -> None:
        """Take one step; one whose scaled gradients overflow is skipped and lowers the scale."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()


def fine_tuned(model: Any, plan: Plan, train: np.ndarray, val: np.ndarray) -> Any:
    """Train on some rows, and return the weights of the epoch with the smallest error on others."""
    options = plan.options
    rng = np.random.default_rng(plan.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=options["lr"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.9)
    device = next(model.parameters()).device
    steps = Steps(optimizer, device, autocast_dtype(device))
    best, best_error, since = copy.deepcopy(model), float("inf"), 0
    for epoch in range(options["epochs"]):
        model.train()
        order = rng.permutation(train)
        for start in range(0, len(order), options["batch_size"]):
            batch = plan.cells.batch(order[start : start + options["batch_size"]], rng)
            loss = loss_of(model, batch, plan, rng)
            steps.take(loss)
        schedule.step()
        if not len(val):
            best = model
            continue
        error = validation_error(model, plan, val)
        sys.stderr.write(f"epoch {epoch + 1}: validation error {error:.5f}\n")
        if error < best_error:
            best, best_error, since = copy.deepcopy(model), error, 0
        else:
            since += 1
        if since >= options["patience"]:
            break
    return best


def validation_error(model: Any, plan: Plan, val: np.ndarray) -> float:
    """Mean loss over validation cells; the same basal cells are drawn every time."""
    model.eval()
    rng = np.random.default_rng(plan.seed)
    losses, size = [], plan.options["batch_size"]
    with torch.no_grad():
        for start in range(0, len(val), size):
            rows = val[start : start + size]
            loss = loss_of(model, plan.cells.batch(rows, rng), plan, rng)
            losses.append(float(loss) * len(rows))
    return sum(losses) / len(val)


def loss_of(
    model: Any,
    batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    plan: Plan,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Squared error of the predicted cells; longer sequences are sampled, as in the tutorial."""
    _, masked_mse_loss = import_scgpt()
    device = next(model.parameters()).device
    basal, flags, target = (part.to(device) for part in batch)
    kept = np.arange(basal.shape[1])
    max_length = plan.options["max_seq_len"]
    if len(kept) > max_length:
        kept = np.sort(rng.permutation(kept)[:max_length])
    columns = torch.from_numpy(kept).to(device)
    tokens = torch.from_numpy(plan.ids[kept]).to(device).repeat(len(basal), 1)
    dtype = autocast_dtype(device)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        output = model(
            tokens,
            basal[:, columns],
            flags[:, columns].long(),
            src_key_padding_mask=torch.zeros_like(tokens, dtype=torch.bool),
        )["mlm_output"]
    loss: torch.Tensor = masked_mse_loss(
        output.float(), target[:, columns], torch.ones_like(output, dtype=torch.bool)
    )
    return loss


def predicted(model: Any, plan: Plan, item: dict[str, Any]) -> np.ndarray:
    """Mean predicted expression over control cells drawn for each condition by itself, (G,)."""
    cells, size = plan.cells, plan.options["batch_size"]
    rng = np.random.default_rng(plan.seed)
    pool = rng.choice(cells.controls(item["cell_type"]), POOL_SIZE)
    device = next(model.parameters()).device
    flags = torch.from_numpy(cells.flags(item["genes"]))
    total = np.zeros(cells.expression.shape[1])
    with torch.no_grad():
        for start in range(0, POOL_SIZE, size):
            basal = torch.from_numpy(cells.expression[pool[start : start + size]])
            batch = Batch(basal, flags.expand_as(basal))
            output = model.pred_perturb(
                batch, include_zero_gene="all", gene_ids=plan.ids, amp=device.type == "cuda"
            )
            total += output.double().cpu().numpy().sum(axis=0)
    return total / POOL_SIZE


def train_means(cells: Cells) -> dict[str, np.ndarray]:
    """Each cell type's unweighted mean over train and validation perturbations.

    A cell type without any takes the others' mean change on its own control.
    """
    own: dict[str, list[np.ndarray]] = {}
    control = {}
    for name in sorted(set(cells.cell_type)):
        control[name] = cells.expression[cells.controls(name)].mean(axis=0, dtype=np.float64)
        here = (cells.cell_type == name) & (cells.part != "control")
        own[name] = [
            cells.expression[here & (cells.condition == label)].mean(axis=0, dtype=np.float64)
            for label in sorted(set(cells.condition[here]))
        ]
    changes = [row - control[name] for name, rows in own.items() for row in rows]
    return {
        name: np.mean(rows, axis=0) if rows else control[name] + np.mean(changes, axis=0)
        for name, rows in own.items()
    }


if __name__ == "__main__":
    main()
