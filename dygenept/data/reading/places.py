"""Which matrix of an ``.h5ad`` file holds the expression: ``X``, a layer or ``raw``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.encodings import check_size, text_attribute
from dygenept.errors import DataError, nearest

if TYPE_CHECKING:
    import h5py

RAW = "raw"
RAWS = (RAW, "raw.X", "raw/X")
# As many values of a layer are looked at before it is named to the user.
N_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """Where expression is read from.

    Attributes:
        file: The open file.
        path: Path inside the file, such as ``layers/counts``.
        frame: The table of its genes, ``var`` or ``raw/var``.
        called: What people call it, such as ``layers['counts']``.
        matrix: The matrix where it is in another file than the names; None where it is in ``path``.
    """

    file: h5py.File
    path: str
    frame: str
    called: str
    matrix: h5py.Group | h5py.Dataset | None = None

    @property
    def item(self) -> h5py.Group | h5py.Dataset:
        """The matrix."""
        return self.file[self.path] if self.matrix is None else self.matrix

    @property
    def where(self) -> str:
        """The file, as errors call it."""
        return str(self.file.filename)

    @property
    def code(self) -> str:
        """The values in Python, such as ``adata.X.data`` of a sparse matrix."""
        import h5py

        is_dense = isinstance(self.item, h5py.Dataset)
        return f"adata.{self.called}" if is_dense else f"adata.{self.called}.data"

    def others(self) -> str:
        """Say which other matrices could be read instead; empty where there is none."""
        return _others(self.file, self.path)


def find_place(
    file: h5py.File, layer: str | None, matrix: h5py.Group | h5py.Dataset | None = None
) -> Place:
    """Find the expression: ``X``, or the layer that is asked for.

    Args:
        file: The open file.
        layer: The layer; None for ``X``.
        matrix: The matrix of that name where it is in another file.

    Raises:
        DataError: If it is not there; the message names what could be read instead.
    """
    if matrix is not None:
        if layer in RAWS:
            return Place(file, "raw/X", "raw/var", "raw.X", matrix)
        return Place(file, "X", "var", "X", matrix)
    if layer in (None, "", "X"):
        if not _is_there(file, "X"):
            others = _others(file, "X") or "; it has no layer either: put log1p expression there"
            raise DataError(f"{file.filename}: X is empty{others}")
        return Place(file, "X", "var", "X")
    if _is_there(file, f"layers/{layer}"):
        return Place(file, f"layers/{layer}", "var", f"layers[{layer!r}]")
    if layer in RAWS and _is_there(file, "raw/X"):
        return Place(file, "raw/X", "raw/var", "raw.X")
    raise DataError(f"{file.filename}: no layer {layer!r}; {nearest(str(layer), _matrices(file))}")


def _matrices(file: h5py.File) -> dict[str, str]:
    """Return the path of each matrix by the name that ``--layer`` knows."""
    import h5py

    found = {"X": "X", RAW: "raw/X"}
    layers = file.get("layers")
    if isinstance(layers, h5py.Group):
        found |= {str(name): f"layers/{name}" for name in layers}
    return {name: path for name, path in found.items() if _is_there(file, path)}


def _is_there(file: h5py.File, path: str) -> bool:
    """Tell whether there is a matrix; a missing ``X`` may be written as a null value."""
    import h5py

    item = file.get(path)
    if isinstance(item, h5py.Dataset):
        return item.shape is not None
    return isinstance(item, h5py.Group) and text_attribute(item, "encoding-type") != "null"


def _others(file: h5py.File, path: str) -> str:
    phrases = []
    for name, other in _matrices(file).items():
        if other == path:
            continue
        flags = f"--layer {name}" + (" --normalize" if _looks_whole(file[other]) else "")
        what = "counts" if flags.endswith("normalize") else "values"
        where = "raw.X" if other == "raw/X" else other if other == "X" else f"layers[{name!r}]"
        phrases.append(f"{where} holds {what} ({flags})")
    return f"; of its layers, {', '.join(phrases)}" if phrases else ""


def _looks_whole(item: h5py.Group | h5py.Dataset) -> bool:
    """Tell whether the first values are whole numbers, not all of them 0 or 1."""
    import h5py

    values = item if isinstance(item, h5py.Dataset) else item.get("data")
    if (
        not isinstance(values, h5py.Dataset)
        or values.shape is None
        or not 1 <= values.ndim <= 2
        or values.dtype.kind not in "iuf"
    ):
        return False
    row = max(1, N_LOOKED_AT // max(1, values.shape[-1])) if values.ndim == 2 else N_LOOKED_AT
    check_size(values, called=str(values.name))
    found = np.asarray(values[:row], dtype=np.float64)
    return bool(found.size and (found == np.rint(found)).all() and found.max() > 1)
