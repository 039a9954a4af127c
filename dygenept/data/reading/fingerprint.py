"""The fingerprint of a data set: SHA-256 of its content, whatever file it is in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.types import IntArray
from dygenept.types.cells import CellMatrix, StoredValues

# Raised when the same content gives another fingerprint.
VERSION = 1
# The same where controls are matched by batch, when what that means for results changes: 1 was not
# named, and left cells as they are; 2 moved sampled cells by differences of means, and tested all
# predicted cells among all controls.
MATCHING = 3
# Values that are hashed at a time.
RUN = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What identifies a data set.

    Attributes:
        expression: CSR, canonical, as stored, (N, G); before normalisation, since log1p differs in
            the last bit between processors.
        gene_ids: Index of ``var``, (G,).
        gene_symbols: Gene symbols, (G,).
        cell_labels: Raw condition labels, and each cell's position among them, (N,).
        cell_types: Cell types, and each cell's position among them, (N,).
        de_lists: DE lists in use, (n_conditions, 20) each.
        normalized: True if the harness normalises ``expression`` afterwards.
        batches: Batches that controls are matched by, and each cell's position among them, (N,);
            None where they are not matched.
    """

    expression: CellMatrix
    gene_ids: Sequence[str]
    gene_symbols: Sequence[str]
    cell_labels: tuple[Sequence[str], IntArray]
    cell_types: tuple[Sequence[str], IntArray]
    de_lists: Mapping[str, IntArray]
    normalized: bool = False
    batches: tuple[Sequence[str], IntArray] | None = None


def fingerprint(content: Content) -> str:
    """Hash a data set without copying its arrays; 64 hexadecimal digits.

    File name, compression, number width on disk, category order and further columns play no part;
    the order of cells and genes does.
    """
    digest = hashlib.sha256()
    expression, de_lists = content.expression, content.de_lists
    labels, label_codes = _canonical(*content.cell_labels)
    types, type_codes = _canonical(*content.cell_types)
    header = {
        "version": VERSION,
        "shape": [int(size) for size in expression.shape],
        "n_values": int(expression.nnz),
        "gene_ids": list(content.gene_ids),
        "gene_symbols": list(content.gene_symbols),
        "labels": labels,
        "cell_types": types,
        "de_lists": {name: lists.shape for name, lists in sorted(de_lists.items())},
        "normalized": content.normalized,
    }
    if content.batches is not None:
        names, batch_codes = content.batches
        # A cell without a batch has the code -1, which points to the last name.
        names, batch_codes = _canonical([*names, ""], batch_codes % (len(names) + 1))
        header["batches"] = names
        header["matching"] = MATCHING
    digest.update(json.dumps(header, sort_keys=True, ensure_ascii=True).encode())
    _update(digest, expression.data, "<f4")
    _update(digest, expression.indices, "<i4")
    _update(digest, expression.indptr, "<i8")
    _update(digest, label_codes, "<i4")
    _update(digest, type_codes, "<i4")
    for _, lists in sorted(de_lists.items()):
        _update(digest, lists, "<i4")
    if content.batches is not None:
        _update(digest, batch_codes, "<i4")
    return digest.hexdigest()


def _canonical(names: Sequence[str], codes: IntArray) -> tuple[list[str], IntArray]:
    used = np.unique(codes)
    kept = sorted((names[code], code) for code in used.tolist())
    place = np.zeros(len(names), dtype=np.int32)
    place[[code for _, code in kept]] = np.arange(len(kept))
    return [name for name, _ in kept], place[codes]


def _update(
    digest: hashlib._Hash, array: npt.NDArray[np.generic] | StoredValues, dtype: str
) -> None:
    # In runs, since an array may be in a file. Nothing is copied on a little-endian machine, where
    # arrays have these types already.
    for start in range(0, len(array), RUN):
        plain = np.ascontiguousarray(array[start : start + RUN], dtype=dtype)
        digest.update(plain.view(np.uint8).data)
