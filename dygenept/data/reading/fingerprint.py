"""The fingerprint of a data set: SHA-256 of its content, whatever file holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.types import IntArray

if TYPE_CHECKING:
    from scipy import sparse

# Raised when the same content gives another fingerprint.
VERSION = 1


def fingerprint(
    expression: sparse.csr_matrix,
    *,
    gene_ids: Sequence[str],
    gene_symbols: Sequence[str],
    cell_labels: tuple[Sequence[str], IntArray],
    cell_types: tuple[Sequence[str], IntArray],
    de_lists: Mapping[str, IntArray],
    normalized: bool = False,
) -> str:
    """Hash what a data set holds, without copying its arrays.

    File name, compression, number width on disk, category order and further columns play no part;
    the order of cells and genes does.

    Args:
        expression: CSR, canonical, as stored; before normalisation, since log1p differs in the
            last bit between processors.
        gene_ids: Index of ``var``.
        gene_symbols: Gene symbols.
        cell_labels: Raw condition labels, and the position there of each cell's.
        cell_types: Cell types, and the position there of each cell's.
        de_lists: DE lists in use, (n_conditions, 20) each.
        normalized: True if the harness normalises ``expression`` afterwards.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    labels, label_codes = _canonical(*cell_labels)
    types, type_codes = _canonical(*cell_types)
    header = {
        "version": VERSION,
        "shape": [int(size) for size in expression.shape],
        "n_values": int(expression.nnz),
        "gene_ids": list(gene_ids),
        "gene_symbols": list(gene_symbols),
        "labels": labels,
        "cell_types": types,
        "de_lists": {name: lists.shape for name, lists in sorted(de_lists.items())},
        "normalized": normalized,
    }
    digest.update(json.dumps(header, sort_keys=True, ensure_ascii=True).encode())
    _update(digest, expression.data, "<f4")
    _update(digest, expression.indices, "<i4")
    _update(digest, expression.indptr, "<i8")
    _update(digest, label_codes, "<i4")
    _update(digest, type_codes, "<i4")
    for _, lists in sorted(de_lists.items()):
        _update(digest, lists, "<i4")
    return digest.hexdigest()


def _canonical(names: Sequence[str], codes: IntArray) -> tuple[list[str], IntArray]:
    used = np.unique(codes)
    kept = sorted((names[code], code) for code in used.tolist())
    place = np.zeros(len(names), dtype=np.int32)
    place[[code for _, code in kept]] = np.arange(len(kept))
    return [name for name, _ in kept], place[codes]


def _update(digest: hashlib._Hash, array: npt.NDArray[np.generic], dtype: str) -> None:
    # No copy is made on a little-endian machine, where the arrays have these types already.
    plain = np.ascontiguousarray(array, dtype=dtype)
    digest.update(plain.view(np.uint8).data)
