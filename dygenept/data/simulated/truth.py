"""What was planted in a simulated data set, and its file.

The file is an ``.npz`` beside the data set, read without unpickling.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataUnavailableError
from dygenept.machine.reading import read_arrays, reading
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import DoubleArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class PlantedTruth:
    """The planted truth of a simulated data set.

    Attributes:
        labels: Perturbation labels, sorted, (n_conditions,).
        delta: Expected pseudobulk delta (perturbed minus control, log1p scale),
            (n_conditions, G).
        log_fold: Natural log-fold change of the mean count, averaged over cell states,
            (n_conditions, G).
        facet_names: The K facets.
        target_genes: Symbols of the perturbed genes, (n_targets,).
        responsible: Facet that answers in most cells of each target, -1 where the gene has no
            known facet, (n_targets,).
        responsible_by_state: Facet that answers in each state, (n_targets, S).
        priority: Facets in order of priority in each state, (S, K).
        state_shares: Expected share of cells in each state, (S,).
        state_codes: State of each cell, in the order of the data set's cells, (N,).
        program_terms: Name of each program: a GO id, ``string:GENE`` for the neighbours of a gene,
            or ``hidden:1`` and so on, in this order, (n_programs,).
        program_facets: Facet of each program of GO, -1 for the others, (n_programs,).
        program_effects: Direction of each program's log-fold change, unit length, (n_programs, G).
        target_programs: Program of each target in each facet, -1 for none, (n_targets, K).
        target_neighbourhood: Number of each target's neighbourhood, -1 for none, (n_targets,).
        target_hidden: Number of each target's hidden program, (n_targets,).
        strength: Strength of each target's effect, (n_targets,).
        response: Strength of the response to each target that perturbations share, (n_targets,);
            as large as ``strength`` in the mean of squares.
        source_names: Sources of the effects, (n_sources,).
        source_shares: Share of each source in the squared log-fold changes of all targets, their
            effect on their own expression left out, (n_sources,).
    """

    labels: tuple[str, ...]
    delta: FloatArray
    log_fold: FloatArray
    facet_names: tuple[str, ...]
    target_genes: tuple[str, ...]
    responsible: IntArray
    responsible_by_state: IntArray
    priority: IntArray
    state_shares: DoubleArray
    state_codes: npt.NDArray[np.int8]
    program_terms: tuple[str, ...]
    program_facets: IntArray
    program_effects: FloatArray
    target_programs: IntArray
    target_neighbourhood: IntArray
    target_hidden: IntArray
    strength: DoubleArray
    response: DoubleArray
    source_names: tuple[str, ...]
    source_shares: DoubleArray


def truth_path(data_path: Path) -> Path:
    """Where the truth of a simulated data set lies: ``<stem>.truth.npz`` beside it."""
    return data_path.with_name(f"{data_path.stem}.truth.npz")


def write_truth(truth: PlantedTruth, path: Path) -> None:
    """Write the truth, under a temporary name first."""
    arrays = {field.name: np.asarray(getattr(truth, field.name)) for field in fields(truth)}
    with replaced_whole(path, sweeps=True) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_truth(path: str | Path) -> PlantedTruth:
    """Read the planted truth of a simulated data set.

    Args:
        path: The data set's ``.h5ad`` file, or the ``.truth.npz`` file beside it.

    Raises:
        DataUnavailableError: If the file does not exist; real data have none.
        DataError: If the file is damaged or of another version.
    """
    path = Path(path)
    file = path if path.name.endswith(".truth.npz") else truth_path(path)
    if not file.is_file():
        raise DataUnavailableError(
            f"no planted truth at {file}; only data sets made by `dygenept data simulate` have one"
        )
    mend = "delete it and simulate again"
    with reading(file, "the truth of a simulated data set", mend=mend):
        arrays = read_arrays(file, mend=mend)
        parts: dict[str, Any] = {field.name: arrays[field.name] for field in fields(PlantedTruth)}
        for name, array in parts.items():
            # Names are tuples of text in memory and arrays of text in the file.
            if array.dtype.kind == "U":
                parts[name] = tuple(array.tolist())
        return PlantedTruth(**parts)
