"""The folder of a fitted model of a table: tensors as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from scipy import sparse

from dygenept.errors import DataError
from dygenept.knowledge.likeness import FacetCentre, Likeness
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import replaced_whole, write_whole
from dygenept.model.effects.fitted_start import FittedStart
from dygenept.model.effects.fitted_table import FittedTable, NetworkPlan
from dygenept.model.effects.pairs import Units
from dygenept.model.effects.recipe import INFINITE, Recipe
from dygenept.model.fitted_state import DOCUMENT, TENSORS, check_tensors
from dygenept.types import Condition, EffectControls, FloatArray, Perturbation
from dygenept.types.effects import EffectKind

Tensors = Mapping[str, torch.Tensor]
Matrix: TypeAlias = FloatArray | sparse.csr_matrix


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid")

    perturbation: str
    genes: tuple[str, ...]
    cell_type: str


class _Recipe(BaseModel):
    """A recipe; the penalty is None where it is infinite, which JSON cannot say."""

    model_config = ConfigDict(extra="forbid")

    weights: dict[str, float]
    power: int
    penalty: float | None
    mixing: float
    across: float


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    columns: tuple[int, ...]
    is_sparse: tuple[bool, ...]


class _Units(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sharpness: float
    size: float


class _Document(BaseModel):
    """What stands in ``model.json`` beside the tensors."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    learnt_from: Literal["effects"] = "effects"
    kind: EffectKind
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    known: tuple[_Known, ...]
    recipe: _Recipe
    scale: float
    likeness_genes: tuple[str, ...]
    sources: tuple[_Source, ...]
    facet_names: tuple[str, ...]
    targets: tuple[str, ...]
    cell_genes: tuple[str, ...] | None
    n_fitted: int
    width: int
    seed: int
    units: _Units
    share: float
    n_networks: int
    chosen: dict[str, float | int | str]
    notes: tuple[str, ...]


def is_kept_table(directory: Path) -> bool:
    """True if a folder has a model that was fitted to a table of effects.

    Raises:
        DataError: If its document cannot be read.
    """
    path = directory / DOCUMENT
    if not path.is_file():
        return False
    with reading(path, "the document of a trained model", mend="train it again"):
        document = json.loads(path.read_text(encoding="utf-8"))
        return isinstance(document, dict) and document.get("learnt_from") == "effects"


def write_table(fitted: FittedTable, directory: Path) -> None:
    """Write a fitted model into a folder; genes that it met later are left out."""
    directory.mkdir(parents=True, exist_ok=True)
    start, plan = fitted.start, fitted.plan
    n = plan.n_fitted
    arrays: dict[str, np.ndarray] = {
        "start.weights": start.weights,
        "start.gene_means": start.gene_means,
        "control.means": plan.control_means,
    }
    for centre in start.likeness.centres:
        arrays[f"centre.{centre.name}"] = centre.mean
    sources = []
    for name, matrices in start.likeness.sources.items():
        for number, matrix in enumerate(matrices):
            arrays |= _packed(f"likeness.{name}.{number}", matrix[:n])
        sources.append(
            _Source(
                name=name,
                columns=tuple(int(matrix.shape[1]) for matrix in matrices),
                is_sparse=tuple(isinstance(matrix, sparse.csr_matrix) for matrix in matrices),
            )
        )
    if plan.cells is not None:
        arrays |= _packed("cells", plan.cells.expression)
        arrays["cells.types"] = plan.cells.cell_type_codes
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()
    }
    tensors |= {
        f"network.{number}.{name}": value.detach().cpu().contiguous().clone()
        for number, weights in enumerate(fitted.weights)
        for name, value in weights.items()
    }
    recipe = start.recipe
    document = _Document(
        kind=fitted.kind,
        gene_ids=fitted.gene_ids,
        gene_symbols=start.gene_symbols,
        target_genes=fitted.target_genes,
        cell_types=start.cell_types,
        known=tuple(
            _Known(perturbation=item.label, genes=item.genes, cell_type=item.cell_type)
            for item in start.known
        ),
        recipe=_Recipe(
            weights=dict(recipe.weights),
            power=recipe.power,
            penalty=None if np.isinf(recipe.penalty) else recipe.penalty,
            mixing=recipe.mixing,
            across=recipe.across,
        ),
        scale=start.scale,
        likeness_genes=start.likeness.genes[:n],
        sources=tuple(sources),
        facet_names=tuple(centre.name for centre in start.likeness.centres),
        targets=plan.targets,
        cell_genes=None if plan.cells is None else plan.cells.gene_symbols,
        n_fitted=n,
        width=plan.width,
        seed=plan.seed,
        units=_Units(sharpness=fitted.units.sharpness, size=fitted.units.size),
        share=fitted.share,
        n_networks=len(fitted.weights),
        chosen=dict(fitted.chosen),
        notes=fitted.notes,
    )
    with replaced_whole(directory / TENSORS, sweeps=True) as temporary:
        save_file(tensors, temporary)
    write_whole(directory / DOCUMENT, (document.model_dump_json(indent=1) + "\n").encode())


def read_table(directory: Path) -> FittedTable:
    """Read a folder that ``write_table`` wrote.

    Raises:
        DataError: If it is damaged or of another format.
    """
    with reading(directory, "a folder of a trained model", mend="train it again"):
        saved = _Document.model_validate_json((directory / DOCUMENT).read_bytes())
        tensors = load_file(directory / TENSORS)
        _checked(saved, tensors)
        fitted = _fitted(saved, tensors)
    n, n_genes = len(saved.known), len(saved.gene_symbols)
    shapes = {
        "start.weights": (n, n_genes),
        "start.gene_means": (len(saved.cell_types), n_genes),
        "control.means": (len(saved.cell_types), n_genes),
    }
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise DataError(
                f"{directory / TENSORS}: {name} has shape {tuple(tensors[name].shape)}, not "
                f"{shape}; train it again"
            )
    return fitted


def _checked(saved: _Document, tensors: Tensors) -> None:
    check_tensors(tensors)
    if missing := {source.name for source in saved.sources} - saved.recipe.weights.keys():
        raise DataError(f"the recipe has no weight for {min(missing)}")
    if not all(item.genes for item in saved.known):
        raise DataError("a perturbation has no genes")


def _fitted(saved: _Document, tensors: Tensors) -> FittedTable:
    n = saved.n_fitted
    sources = {
        source.name: tuple(
            _unpacked(f"likeness.{source.name}.{number}", tensors, (n, columns), is_sparse)
            for number, (columns, is_sparse) in enumerate(
                zip(source.columns, source.is_sparse, strict=True)
            )
        )
        for source in saved.sources
    }
    centres = tuple(
        FacetCentre(name, tensors[f"centre.{name}"].numpy()) for name in saved.facet_names
    )
    recipe = saved.recipe
    cells = None
    if saved.cell_genes is not None:
        codes = tensors["cells.types"].numpy()
        expression = _unpacked("cells", tensors, (len(codes), len(saved.cell_genes)), True)
        cells = EffectControls(cast(sparse.csr_matrix, expression), saved.cell_genes, codes)
    return FittedTable(
        kind=saved.kind,
        gene_ids=saved.gene_ids,
        target_genes=saved.target_genes,
        start=FittedStart(
            known=tuple(
                Condition(Perturbation(item.perturbation, item.genes), item.cell_type)
                for item in saved.known
            ),
            cell_types=saved.cell_types,
            gene_symbols=saved.gene_symbols,
            gene_means=tensors["start.gene_means"].numpy(),
            likeness=Likeness(saved.likeness_genes, sources, centres),
            recipe=Recipe(
                weights=recipe.weights,
                power=recipe.power,
                penalty=INFINITE if recipe.penalty is None else recipe.penalty,
                mixing=recipe.mixing,
                across=recipe.across,
            ),
            weights=tensors["start.weights"].numpy(),
            scale=saved.scale,
        ),
        plan=NetworkPlan(
            output_genes=saved.gene_symbols,
            targets=saved.targets,
            control_means=tensors["control.means"].numpy(),
            cells=cells,
            n_fitted=n,
            width=saved.width,
            seed=saved.seed,
        ),
        units=Units(saved.kind, saved.units.sharpness, saved.units.size),
        share=saved.share,
        weights=tuple(_under(tensors, f"network.{number}.") for number in range(saved.n_networks)),
        chosen=saved.chosen,
        notes=saved.notes,
    )


def _packed(name: str, matrix: Matrix) -> dict[str, np.ndarray]:
    """Return the arrays of a matrix: of a dense one, its rows that are not zeros throughout."""
    if isinstance(matrix, sparse.csr_matrix):
        return {
            f"{name}.data": matrix.data,
            f"{name}.indices": matrix.indices.astype(np.int32),
            f"{name}.indptr": matrix.indptr.astype(np.int64),
        }
    rows = np.flatnonzero(np.abs(matrix).sum(axis=1) > 0)
    return {f"{name}.rows": rows, f"{name}.values": matrix[rows]}


def _unpacked(name: str, tensors: Tensors, shape: tuple[int, int], is_sparse: bool) -> Matrix:
    if is_sparse:
        parts = (tensors[f"{name}.{part}"].numpy() for part in ("data", "indices", "indptr"))
        matrix = sparse.csr_matrix(tuple(parts), shape=shape)
        matrix.check_format(full_check=True)
        return matrix
    whole = np.zeros(shape, dtype=np.float32)
    whole[tensors[f"{name}.rows"].numpy()] = tensors[f"{name}.values"].numpy()
    return whole


def _under(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
