"""Arrays and columns of an ``.h5ad`` file in every encoding that anndata and other tools write.

What is common is read with h5py alone: codes of categoricals stay codes. Rare encodings are left to
anndata's own reader. Every array goes through ``read_array`` or ``check_size``, which look at its
claimed size before memory is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.machine.reading import check_claim
from dygenept.types import IntArray

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``obs`` or ``var`` as codes.

    Attributes:
        categories: The values, each once; some may be unused.
        codes: Position in ``categories`` of each row, -1 where missing.
        is_text: False if the values are numbers, which only look like texts here.
    """

    categories: tuple[str, ...]
    codes: IntArray
    is_text: bool = True

    def texts(self) -> list[str]:
        """Return the value of each row, empty where missing."""
        # The last entry is where the code -1 of a missing value points to.
        values = (*self.categories, "")
        return [values[code] for code in self.codes]


def read_array(item: object, *, called: str) -> npt.NDArray[Any]:
    """Read a whole array of one dimension.

    Raises:
        DataError: If it is something else, or claims far more values than its file could hold.
    """
    import h5py

    if not isinstance(item, h5py.Dataset) or item.shape is None or item.ndim != 1:
        raise DataError(f"{called} is not an array of one dimension; write the file again")
    check_size(item, called=called)
    array: npt.NDArray[Any] = item[:]
    return array


def check_size(item: h5py.Dataset, *, called: str) -> None:
    """Refuse an array that claims far more bytes than the file could hold.

    Raises:
        DataError: If it does.
    """
    # The library unpacks whole chunks, however large they say they are.
    n_values = max(item.size or 0, math.prod(item.chunks or ()))
    check_claim(n_values * item.dtype.itemsize, item.file.id.get_filesize(), called)


def text_attribute(item: h5py.Group | h5py.Dataset, *names: str) -> str:
    """Return the first of some attributes as text, whatever string type it has; empty if absent."""
    for name in names:
        value = item.attrs.get(name)
        if value is not None:
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return ""


def read_values(table: h5py.Group, name: str, notes: list[str]) -> Column:
    """Read a column of a table; ``notes`` gets a sentence where something was mended.

    Raises:
        DataError: If its encoding is not known, or its parts do not fit together.
    """
    import h5py

    item = table[name]
    if isinstance(item, h5py.Dataset):
        if "categories" in item.attrs:
            return _checked(_factors(table[item.attrs["categories"]], notes), item)
        return _factors(item, notes)
    if "codes" in item and "categories" in item:
        return _checked(_factors(item["categories"], notes), item["codes"])
    if "values" in item and "mask" in item:
        return _factors(item, notes)
    return _read_by_anndata(item)


def _factors(item: h5py.Dataset | h5py.Group, notes: list[str]) -> Column:
    """Read values that stand one by one; those under a mask are missing."""
    import h5py

    if isinstance(item, h5py.Dataset):
        return _factorised(read_texts(item, notes), is_text=_is_text(item))
    called = _called(item)
    if "values" not in item or "mask" not in item:
        raise DataError(f"{called} has an unknown encoding; write it as plain strings")
    values = _factors(item["values"], notes)
    mask = read_array(item["mask"], called=f"{called}/mask").astype(bool)
    if len(mask) != len(values.codes):
        raise DataError(f"{called}: values and mask differ in length; write the file again")
    codes = np.where(mask, -1, values.codes).astype(np.int32)
    return Column(values.categories, codes, values.is_text)


def _checked(categories: Column, item: object) -> Column:
    """Return a categorical column; a missing category makes its rows missing."""
    import h5py

    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iu":
        raise DataError(f"{_called(item)}: codes are not whole numbers; write the file again")
    codes = read_array(item, called=_called(item)).astype(np.int64)
    n_categories = len(categories.codes)
    if len(codes) and not -1 <= codes.min() <= codes.max() < n_categories:
        raise DataError(
            f"{item.file.filename} is damaged: {item.name} has codes without a category; fetch or "
            "copy it again"
        )
    positions = np.append(categories.codes, -1)[codes]
    return Column(categories.categories, positions.astype(np.int32), categories.is_text)


def _is_text(item: h5py.Dataset) -> bool:
    return item.dtype.kind in "OSUb"


def read_texts(item: h5py.Dataset, notes: list[str]) -> tuple[str | None, ...]:
    """Read an array of strings, or of numbers as text; None where a number is missing.

    Raises:
        DataError: If its values are neither, or are not UTF-8 text.
    """
    import h5py

    called = _called(item)
    values = read_array(item, called=called)
    kind = h5py.check_string_dtype(item.dtype)
    if kind is None:
        if values.dtype.kind not in "biuf":
            raise DataError(
                f"{called} has values of type {values.dtype}; write it as plain strings"
            )
        # NaN is the only value that differs from itself.
        return tuple(str(value) if value == value else None for value in values.tolist())
    try:
        texts = tuple(value.decode() for value in values.tolist())
    except UnicodeDecodeError as error:
        bad = ascii(error.object[:20])
        raise DataError(
            f"{called} contains bytes that are not UTF-8 text, such as {bad}; write it as text, "
            "e.g. adata.obs[column] = [value.decode('latin-1') for value in adata.obs[column]]"
        ) from error
    if kind.encoding == "ascii" and not all(map(str.isascii, texts)):
        example = next(text for text in texts if not text.isascii())
        column = called.removeprefix(f"{item.file.filename}: ")
        notes.append(f"{column} is declared as ASCII but was read as UTF-8: {example!r}.")
    return texts


def _read_by_anndata(item: h5py.Group) -> Column:
    import h5py
    import pandas as pd
    from anndata.io import read_elem

    called = _called(item)

    def check(_: str, part: object) -> None:
        if isinstance(part, h5py.Dataset):
            check_size(part, called=called)

    item.visititems(check)
    try:
        values = pd.Series(read_elem(item), dtype=object)
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError, OSError) as error:
        raise DataError(f"{called} has an unknown encoding; write it as plain strings") from error
    is_missing = values.isna().to_numpy()
    texts = [
        None if missing else str(value) for value, missing in zip(values, is_missing, strict=True)
    ]
    return _factorised(texts)


def _called(item: object) -> str:
    import h5py

    if not isinstance(item, h5py.Group | h5py.Dataset):
        return "a column"
    frame, _, column = str(item.name).strip("/").partition("/")
    for part in ("/categories", "/codes", "/values", "/mask"):
        column = column.removesuffix(part)
    return f"{item.file.filename}: {frame}[{column!r}]"


def _factorised(texts: Sequence[str | None], *, is_text: bool = True) -> Column:
    position: dict[str | None, int] = {None: -1}
    codes = np.fromiter(
        (position.setdefault(text, len(position) - 1) for text in texts), np.int32, len(texts)
    )
    return Column(tuple(text for text in position if text is not None), codes, is_text)
