"""What a trained DyGenePT model consists of, and the folder that it is saved in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy import sparse

from dygenept.errors import DataError, DataUnavailableError
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import replaced_whole, write_whole
from dygenept.model.control_pool import ControlCells
from dygenept.model.training.loop import History
from dygenept.model.training.options import LossOptions, TrainingOptions
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.types import DoubleArray, GeneKnowledge

FORMAT = 1
TENSORS = "model.safetensors"
DOCUMENT = "model.json"


@dataclass(frozen=True, slots=True)
class FittedState:
    """Everything that prediction needs besides the networks' code.

    Attributes:
        gene_ids: Output genes, (G,).
        gene_symbols: Their symbols, (G,).
        target_genes: Genes that the gene encoder was built for.
        cell_types: Cell type names.
        control_means: Mean of each cell type's control cells, (n_cell_types, G).
        controls: Control cells that predictions average over.
        knowledge: Facets of ``target_genes``.
        width: Embedding width D.
        seed: Seed that the members were derived from.
        options: Options it was trained with.
        histories: How each member's training went.
        chosen: What each member settled on itself; empty for a model saved before it was kept.
        weights: Tensors of each member, by name.
        residual_variance: Mean squared leave-one-out residual of each gene, (G,), as the members'
            closed-form starts have it; None without a start.
    """

    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    control_means: DoubleArray
    controls: ControlCells
    knowledge: GeneKnowledge
    width: int
    seed: int
    options: TrainingOptions
    histories: tuple[History, ...]
    chosen: tuple[Chosen, ...]
    weights: tuple[Mapping[str, torch.Tensor], ...]
    residual_variance: DoubleArray | None = None


def write_fitted(state: FittedState, directory: Path) -> None:
    """Write a trained model into a folder: tensors as safetensors, the rest as JSON."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"member.{index}.{name}": value.detach().cpu().contiguous().clone()
        for index, weights in enumerate(state.weights)
        for name, value in weights.items()
    }
    expression = state.controls.expression
    arrays = {
        "knowledge.values": state.knowledge.values,
        "knowledge.confidence": state.knowledge.confidence,
        "control.means": state.control_means,
        "control.data": expression.data,
        "control.indices": expression.indices.astype(np.int32),
        "control.indptr": expression.indptr.astype(np.int64),
        "control.cell_types": state.controls.cell_type_codes,
    }
    if state.residual_variance is not None:
        arrays["residual.variance"] = state.residual_variance
    tensors |= {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    document = {
        "format": FORMAT,
        "gene_ids": state.gene_ids,
        "gene_symbols": state.gene_symbols,
        "target_genes": state.target_genes,
        "cell_types": state.cell_types,
        "knowledge": {
            "name": state.knowledge.name,
            "sha256": state.knowledge.sha256,
            "genes": state.knowledge.genes,
            "facet_names": state.knowledge.facet_names,
        },
        "width": state.width,
        "seed": state.seed,
        "options": asdict(state.options),
        "histories": [asdict(history) for history in state.histories],
        "chosen": [dict(chosen) for chosen in state.chosen],
    }
    with replaced_whole(directory / TENSORS, sweeps=True) as temporary:
        save_file(tensors, temporary)
    write_whole(directory / DOCUMENT, json.dumps(document, indent=1).encode())


def read_fitted(directory: Path) -> FittedState:
    """Read a folder that ``write_fitted`` wrote.

    Raises:
        DataUnavailableError: If the folder has no model.
        DataError: If it is damaged or of another format.
    """
    for name in (DOCUMENT, TENSORS):
        if not (directory / name).is_file():
            raise DataUnavailableError(
                f"no trained model in {directory}: {name} is missing; train one with dygenept train"
            )
    with reading(directory, "a folder of a trained model", mend="train it again"):
        document = json.loads((directory / DOCUMENT).read_text(encoding="utf-8"))
        tensors = load_file(directory / TENSORS)
        if document["format"] != FORMAT:
            raise DataError(
                f"the model in {directory} has format {document['format']}, this version reads "
                f"{FORMAT}; train it again"
            )
        check_tensors(tensors)
        state = _state(document, tensors)
        _check_controls(state)
        return state


def check_tensors(tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors that a damaged file has.

    Raises:
        DataError: If one has NaN, with which nothing can be predicted.
    """
    for name, tensor in tensors.items():
        if bool(torch.isnan(tensor).any()):
            raise DataError(f"{name} has values that are not numbers (NaN)")


def _check_controls(state: FittedState) -> None:
    state.controls.expression.check_format(full_check=True)
    codes, n_types = state.controls.cell_type_codes, len(state.cell_types)
    n_cells = state.controls.expression.shape[0]
    if codes.shape != (n_cells,) or bool(((codes < 0) | (codes >= n_types)).any()):
        raise DataError("its control cells are not those of its cell types")
    shape = (n_types, len(state.gene_ids))
    if not n_types or state.control_means.shape != shape:
        raise DataError(f"control.means has shape {state.control_means.shape}, not {shape}")


def _state(document: dict[str, object], tensors: dict[str, torch.Tensor]) -> FittedState:
    saved = _Document(document)
    # Written by asdict: the constructors check every value again.
    options = cast(Any, saved.mapping("options"))
    options["loss"] = LossOptions(**options["loss"])
    gene_ids = saved.names("gene_ids")
    cell_types = saved.names("cell_types")
    control = {
        key: tensors[f"control.{key}"].numpy()
        for key in ("data", "indices", "indptr", "cell_types", "means")
    }
    knowledge = _Document(saved.mapping("knowledge"))
    variance = tensors.get("residual.variance")
    histories = cast(list[Any], document["histories"])
    return FittedState(
        gene_ids=gene_ids,
        gene_symbols=saved.names("gene_symbols"),
        target_genes=saved.names("target_genes"),
        cell_types=cell_types,
        control_means=control["means"],
        controls=ControlCells(
            expression=sparse.csr_matrix(
                (control["data"].astype(np.float32), control["indices"], control["indptr"]),
                shape=(len(control["indptr"]) - 1, len(gene_ids)),
            ),
            cell_type_codes=control["cell_types"],
            n_cell_types=len(cell_types),
        ),
        knowledge=GeneKnowledge(
            name=str(knowledge.values["name"]),
            sha256=str(knowledge.values["sha256"]),
            genes=knowledge.names("genes"),
            facet_names=knowledge.names("facet_names"),
            values=tensors["knowledge.values"].numpy(),
            confidence=tensors["knowledge.confidence"].numpy(),
        ),
        width=int(str(saved.values["width"])),
        seed=int(str(saved.values["seed"])),
        options=TrainingOptions(**options),
        histories=tuple(
            History(tuple(h["losses"]), tuple(h["scores"]), h["best_epoch"]) for h in histories
        ),
        chosen=tuple(cast(list[Chosen], document.get("chosen", []))),
        weights=_members(tensors),
        residual_variance=None if variance is None else variance.numpy(),
    )


def _members(tensors: dict[str, torch.Tensor]) -> tuple[Mapping[str, torch.Tensor], ...]:
    members: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("member."):
            _, index, key = name.split(".", 2)
            members.setdefault(int(index), {})[key] = value
    return tuple(members[index] for index in sorted(members))


@dataclass(frozen=True, slots=True)
class _Document:
    values: Mapping[str, object]

    def names(self, key: str) -> tuple[str, ...]:
        found = self.values[key]
        if not isinstance(found, list):
            raise TypeError(f"{key} must be a list")
        return tuple(str(name) for name in found)

    def mapping(self, key: str) -> dict[str, object]:
        found = self.values[key]
        if not isinstance(found, dict):
            raise TypeError(f"{key} must be a mapping")
        return found
