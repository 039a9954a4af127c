"""Reads pickles of plain values and numpy arrays; a pickle that wants anything else is refused.

A pickle is a program. Here none of its calls reaches a class or function of Python or numpy: every
name it may use stands for an object of this module that only takes notes, and the arrays are made
afterwards from checked shapes, types and bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.machine.reading import reason_of

_KINDS = "fiub"
_MAX_DEPTH = 4
# Looking at every step of a larger file would take longer than reading it.
_CHECKED_BYTES = 1 << 22


class _ForbiddenError(Exception):
    """A pickle asks for what it may not have."""


class _DtypeNote:
    """What a pickle says of an array's type."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise _ForbiddenError("an array type of an unknown form")
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        order = "" if self.order == "|" else self.order
        try:
            dtype = np.dtype(f"{order}{self.code}")
        except (TypeError, ValueError) as error:
            raise _ForbiddenError(f"arrays of type {self.code!r}") from error
        if dtype.kind not in _KINDS:
            raise _ForbiddenError(f"arrays of type {dtype}; only numbers are read")
        return dtype


class _ArrayNote:
    """What a pickle says of one array."""

    __slots__ = ("content", "dtype", "is_fortran", "shape")

    def __init__(self) -> None:
        self.shape: Any = None
        self.dtype: Any = None
        self.is_fortran: Any = False
        self.content: Any = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _ForbiddenError("an array of an unknown form")
        _, self.shape, self.dtype, self.is_fortran, self.content = state

    def array(self) -> npt.NDArray[Any]:
        shape, dtype, content = self.shape, self.dtype, self.content
        if not isinstance(dtype, _DtypeNote) or not isinstance(content, bytes | bytearray):
            raise _ForbiddenError("an array without its type or bytes")
        if not isinstance(shape, tuple) or not all(
            isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape
        ):
            raise _ForbiddenError("an array without its shape")
        kind = dtype.dtype()
        if math.prod(shape) * kind.itemsize != len(content):
            raise _ForbiddenError("an array whose bytes do not fill its shape")
        order = "F" if self.is_fortran else "C"
        return np.frombuffer(content, dtype=kind).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


class _Named:
    """Stands for a name that a pickle may use; contains nothing that a pickle could change."""

    __slots__ = ("_call",)
    _call: Callable[..., object]

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)

    def __setattr__(self, name: str, value: object) -> None:
        raise _ForbiddenError("a change of a known name")

    def __call__(self, *args: object) -> object:
        return self._call(*args)


def _not_callable(*_: object) -> object:
    raise _ForbiddenError("a call that rebuilds no array")


def _reconstruct(*_: object) -> _ArrayNote:
    return _ArrayNote()


def _dtype(*args: object) -> _DtypeNote:
    if not args or not isinstance(args[0], str) or len(args[0]) > 8:
        raise _ForbiddenError("an array type of an unknown form")
    return _DtypeNote(args[0])


def _from_buffer(*args: object) -> _ArrayNote:
    if len(args) != 4:
        raise _ForbiddenError("an array of an unknown form")
    note = _ArrayNote()
    content, note.dtype, note.shape, order = args
    note.is_fortran = order == "F"
    note.content = bytes(content) if isinstance(content, bytes | bytearray) else None
    return note


def _scalar(*args: object) -> _ArrayNote:
    if len(args) != 2:
        raise _ForbiddenError("a number of an unknown form")
    note = _ArrayNote()
    note.shape, note.dtype, note.content = (), *args
    return note


def _latin1(*args: object) -> bytes:
    if len(args) != 2 or not isinstance(args[0], str) or args[1] not in ("latin1", "latin-1"):
        raise _ForbiddenError("text in another encoding than latin1")
    return args[0].encode("latin-1")


def _bytearray(*args: object) -> bytes:
    if len(args) != 1 or not isinstance(args[0], bytes | bytearray):
        raise _ForbiddenError("bytes of an unknown form")
    return bytes(args[0])


def _empty_dict(*args: object) -> dict[object, object]:
    if args:
        raise _ForbiddenError("a mapping of an unknown form")
    return {}


_NUMPY_CORES = ("numpy.core", "numpy._core")
_KNOWN: Mapping[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _not_callable,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1,
    ("builtins", "bytearray"): _bytearray,
    ("collections", "OrderedDict"): _empty_dict,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in _NUMPY_CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY_CORES},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        call = _KNOWN.get((module, name))
        if call is None:
            raise _ForbiddenError(f"the name {module}.{name}")
        return _Named(call)

    def persistent_load(self, pid: Any) -> Any:
        raise _ForbiddenError("an object stored elsewhere")


def read_pickle(path: Path) -> object:
    """Read a pickle of dicts, lists, tuples, texts, numbers and numpy arrays of numbers.

    Raises:
        DataError: If it is damaged or contains anything else; no code of it runs.
    """
    try:
        content = path.read_bytes()
        _check_places(content)
        return _Plain()(_Reader(io.BytesIO(content)).load())
    except _ForbiddenError as error:
        raise DataError(
            f"{path} is refused: it contains {error}, and a pickle may run any code; only dicts, "
            "lists, texts, numbers and numpy arrays are read. Ask its maker for an .npz, .parquet "
            "or .csv file"
        ) from error
    except RecursionError as error:
        raise DataError(f"{path} is refused: it is nested too deeply") from error
    # A damaged pickle makes the reader raise nearly anything.
    except Exception as error:
        raise DataError(
            f"{path} is not a pickle, or is damaged ({type(error).__name__}: {reason_of(error)})"
        ) from error


def _check_places(content: bytes) -> None:
    """Refuse a pickle that numbers its values beyond its own length: each number takes memory."""
    if len(content) > _CHECKED_BYTES:
        return
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise _ForbiddenError("a value numbered beyond its length")


class _Plain:
    """Turns notes into arrays; what a pickle shares between places is turned once."""

    def __init__(self) -> None:
        self._done: dict[int, object] = {}

    def __call__(self, value: object, depth: int = 0) -> object:
        if depth > _MAX_DEPTH:
            raise _ForbiddenError("values nested too deeply")
        if value is None or isinstance(value, str | int | float | bytes):
            return value
        # The pickle's own objects outlive this, so that no id is given twice.
        if id(value) not in self._done:
            self._done[id(value)] = self._turned(value, depth)
        return self._done[id(value)]

    def _turned(self, value: object, depth: int) -> object:
        if isinstance(value, _ArrayNote):
            array = value.array()
            return array.item() if array.ndim == 0 else array
        if isinstance(value, dict):
            return {_key(key): self(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            if all(type(item) is float for item in value):
                return value
            return [self(item, depth + 1) for item in value]
        raise _ForbiddenError(f"an object of type {type(value).__name__.strip('_')}")


def _key(key: object) -> object:
    if not isinstance(key, str | int):
        raise _ForbiddenError(f"a key of type {type(key).__name__.strip('_')}")
    return key
