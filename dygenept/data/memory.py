"""How much memory cells take, and a limit that refuses what would go beyond it."""

from __future__ import annotations

import re

from dygenept.errors import ConfigError, DataError
from dygenept.types import DataOutline

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", flags=re.IGNORECASE)
# Peak of reading over the size of the matrix, and a process with its libraries (docs/scale.md).
READING_PEAK = 1.14
PROCESS_BYTES = (1 << 30) // 4
# Arrays of conditions x genes in float64 that means, DE lists and the default metrics keep.
TABLES = 8
_MOST_INDEXED = 2**31 - 1


def parse_memory(text: str) -> int:
    """Read an amount of memory such as ``4G``, ``512M`` or ``1.5GiB``; units are powers of 1,024.

    Raises:
        ConfigError: If it is no such amount, or zero.
    """
    found = _AMOUNT.fullmatch(text.strip())
    amount = 0 if found is None else int(float(found[1]) * _UNITS[found[2].upper()])
    if amount <= 0:
        raise ConfigError(f"--memory {text!r} is not an amount of memory; write 4G or 512M")
    return amount


def csr_bytes(n_values: int, n_cells: int) -> int:
    """Bytes of a CSR matrix in float32, with indices of four bytes, or eight where it has to."""
    index = 4 if n_values < _MOST_INDEXED else 8
    return n_values * (4 + index) + (n_cells + 1) * index


def table_bytes(n_conditions: int, n_types: int, n_genes: int) -> int:
    """Bytes of means, DE lists and what metrics keep of them."""
    return (n_conditions + n_types) * n_genes * 8 * TABLES


def needed_bytes(outline: DataOutline) -> int | None:
    """Peak memory of reading a data set and of what is computed of it; None where unknown."""
    if outline.n_values is None or outline.n_cells is None or outline.n_genes is None:
        return None
    data = outline.data
    n_conditions = (outline.n_perturbations or 0) if data is None else len(data.conditions)
    n_types = 1 if data is None else len(data.cell_types)
    matrix = int(csr_bytes(outline.n_values, outline.n_cells) * READING_PEAK)
    return matrix + table_bytes(n_conditions, n_types, outline.n_genes) + PROCESS_BYTES


def check_memory(name: str, outline: DataOutline, limit: int) -> None:
    """Refuse a data set that would take more memory than the limit, before its values are read.

    Raises:
        DataError: If it would; the amount that is needed is named.
    """
    needed = needed_bytes(outline)
    if needed is None or needed <= limit:
        return
    bound = ""
    if outline.is_bound:
        bound = (
            " at most (the zeros of a matrix that is not CSR cannot be counted beforehand; write "
            "it as CSR)"
        )
    raise DataError(
        f"{name} needs {needed / (1 << 30):,.2f} GiB of memory{bound}, more than the "
        f"{limit / (1 << 30):,.2f} GiB of --memory; allow as much, or choose genes or cells with "
        "`dygenept data prepare`, which reads in blocks"
    )
