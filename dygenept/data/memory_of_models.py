"""Refuse a model whose cells or fit do not fit beside the data set under a limit on memory."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dygenept.data.memory import GIB, TABLES, CellsSize, csr_bytes
from dygenept.errors import DataError
from dygenept.types import PerturbationData


def check_given_cells(data: PerturbationData, rows: npt.NDArray[np.intp], limit: int) -> None:
    """Refuse a copy of some cells for a model where it does not fit beside everything else.

    Raises:
        DataError: As said; the amount that is needed is named.
    """
    size = CellsSize.of_data(data)
    lengths = np.diff(data.expression.indptr)
    given = csr_bytes(int(lengths[rows].sum()), len(rows))
    needed = size.needed(streams=True) + given
    if needed > limit:
        raise DataError(
            f"this model is given the {len(rows):,} cells of its fold, {given / GIB:,.2f} GiB, "
            f"which makes {needed / GIB:,.2f} GiB of memory with {data.name!r} itself, more than "
            f"the {limit / GIB:,.2f} GiB of --memory; allow as much, or choose models that learn "
            "from means"
        )


def check_model_memory(
    model: str,
    n_bytes: int,
    data: PerturbationData,
    limit: int,
    *,
    n_tables: int = TABLES,
    filed_bytes: int | None = None,
) -> None:
    """Refuse a model whose fit does not fit beside everything else.

    Args:
        model: Its name.
        n_bytes: What it takes by itself.
        data: The data set.
        limit: Most bytes of memory.
        n_tables: Arrays of conditions × genes that are in memory together.
        filed_bytes: What it takes by itself where these are in files.

    Raises:
        DataError: As said; the amount that is needed is named.
    """
    size = replace(CellsSize.of_data(data), n_tables=n_tables)
    needed = size.under(limit, streams=True, n_bytes=n_bytes)
    if needed > limit:
        less = None if filed_bytes is None else size.limit_for_files(filed_bytes)
        hint = "allow as much"
        if less is not None and less < limit:
            hint += (
                f", or less, such as --memory {math.floor(less / GIB * 100) / 100:g}G, which moves "
                "arrays of conditions × genes into files"
            )
        raise DataError(
            f"{model} takes {n_bytes / GIB:,.2f} GiB by itself (such as arrays of all pairs of "
            f"perturbations, or of perturbations × genes), which makes "
            f"{needed / GIB:,.2f} GiB of memory with {data.name!r}, more than the "
            f"{limit / GIB:,.2f} GiB of --memory; {hint}, or leave it out"
        )
