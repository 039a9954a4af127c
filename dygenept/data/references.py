"""What an object refers to, for each kind of object."""

from __future__ import annotations

import ctypes
import functools
import gc
import pathlib
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.types import Condition, Perturbation

# A step from an object to what it refers to: the words of a path around a key, and the key.
Step = tuple[str, object]
Follow = Callable[[Any], Iterable[tuple[Step, object]]]

# Plain values, and records that contain nothing but texts, of which a data set has thousands. A
# class made of one may have attributes and is followed.
_PLAIN: frozenset[type] = frozenset(
    (str, bytes, int, float, complex, bool, type(None), Condition, Perturbation)
)
_PATHS: frozenset[type] = frozenset(
    {type(pathlib.Path()), type(pathlib.PurePath()), pathlib.PureWindowsPath}
)
# What leads to everything in the process.
_DOORS = (type, ModuleType, CodeType, FrameType, TracebackType)
# Arrays of other libraries say so in one of these ways.
_ARRAY_PROTOCOLS = (
    *("__array__", "__array_interface__", "__dlpack__"),
    *("__arrow_c_array__", "__arrow_c_stream__"),
)
# The most entries of a mapping that computes them.
MAX_COMPUTED = 1_000_000
PROXIES = (weakref.ProxyType, weakref.CallableProxyType)


@functools.lru_cache(maxsize=4096)
def ends(kind: type) -> bool:
    """Tell whether nothing further can be reached from objects of a class, or too much."""
    if kind in _PLAIN or kind in _PATHS or issubclass(kind, _DOORS):
        return True
    return issubclass(kind, np.generic) and not issubclass(kind, np.void)


@functools.lru_cache(maxsize=4096)
def references(kind: type) -> Follow:
    """Return what lists the references of an object of a class: the step to each, and it."""
    exact = _EXACT.get(kind)
    if exact is not None:
        return exact
    follow = next((follow for kinds, follow in _WAYS if issubclass(kind, kinds)), None)
    rest = functools.partial(_of_object, declared=_declared(kind))
    if follow is None:
        return rest
    # A class of one's own may have attributes beside items.
    return lambda item: _both(rest(item), follow(item))


@functools.lru_cache(maxsize=4096)
def is_foreign_array(kind: type) -> bool:
    """Tell whether objects of a class are arrays that are not NumPy's.

    What memory they stand for, or which file, cannot be told. Tensors of torch can be: their memory
    is among what they refer to. So can tables of pandas, which consist of NumPy's arrays.
    """
    if issubclass(kind, np.ndarray | np.generic | np.flatiter):
        return False
    if kind.__module__.partition(".")[0] == "pandas" or _is_tensor(kind):
        return False
    return any(hasattr(kind, protocol) for protocol in _ARRAY_PROTOCOLS)


def _both(*parts: Iterable[tuple[Step, object]]) -> Iterator[tuple[Step, object]]:
    for part in parts:
        yield from part


def _of_array(item: npt.NDArray[Any]) -> Iterator[tuple[Step, object]]:
    yield (".base", None), item.base
    if item.dtype.metadata is not None:
        yield (".dtype.metadata", None), item.dtype.metadata
    if item.dtype.hasobject:
        yield from _objects_of(item)


def _objects_of(item: npt.NDArray[Any]) -> Iterator[tuple[Step, object]]:
    if item.dtype.names is not None:
        for name in item.dtype.names:
            if item.dtype[name].hasobject:
                yield from _objects_of(item[name])
    elif set(map(type, item.flat)) != {str}:
        yield from ((("[…]", None), value) for value in item.flat)


def _of_view(item: memoryview) -> Iterator[tuple[Step, object]]:
    yield (".obj", None), item.obj


def _of_dict(item: dict[object, object]) -> Iterator[tuple[Step, object]]:
    # Not by a method that a class of one's own may have changed.
    return _of_pairs(list(dict.items(item)))


def _of_mapping(item: Mapping[object, object]) -> Iterator[tuple[Step, object]]:
    pairs = list(islice(item.items(), MAX_COMPUTED + 1))
    if len(pairs) > MAX_COMPUTED:
        raise ValueError(f"it has more than {MAX_COMPUTED:,} entries")
    return _of_pairs(pairs)


def _of_pairs(pairs: list[tuple[object, object]]) -> Iterator[tuple[Step, object]]:
    if _PLAIN.issuperset(type(part) for pair in pairs for part in pair):
        return
    for key, value in pairs:
        yield (" key", None), key
        yield ("[{!r}]", key), value


def _of_items(item: Iterable[object]) -> Iterator[tuple[Step, object]]:
    # Thousands of names are looked at in one go.
    if not _PLAIN.issuperset(map(type, item)):
        yield from ((("[{}]", number), value) for number, value in enumerate(item))


def _of_function(item: FunctionType) -> Iterator[tuple[Step, object]]:
    for value in gc.get_referents(item):
        if not _is_a_modules(value):
            yield (" reference", None), value
    yield from _named(item, ("__defaults__", "__kwdefaults__"))
    for cell in item.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:
            # A cell is empty while the name that it stands for is not bound yet.
            continue
        yield (" closure", None), value


def _is_a_modules(item: object) -> bool:
    """Tell whether a dict is that of a module, such as a function's globals or built-in names."""
    return type(item) is dict and ("__builtins__" in item or "__loader__" in item)


def _of_weak_reference(item: weakref.ref[Any]) -> Iterator[tuple[Step, object]]:
    yield (" target", None), item()


def _of_proxy(item: Any) -> Iterator[tuple[Step, object]]:
    try:
        yield (" target", None), item.__init__.__self__
    except ReferenceError:
        # Its target is gone.
        return


def _of_object(item: object, declared: tuple[str, ...]) -> Iterator[tuple[Step, object]]:
    """List what Python's collector knows of, then, with better paths, what has a name."""
    for value in gc.get_referents(item):
        if not _is_a_modules(value):
            yield (" reference", None), value
    for owner in type(item).__mro__:
        # A class that was written within a function may close over what that function knows.
        if "<locals>" in owner.__qualname__:
            yield (" class", None), dict(owner.__dict__)
    memory = _memory_of(item)
    if memory is not None:
        yield (" memory", None), memory
    own = getattr(item, "__dict__", {})
    names = sorted({*declared, *own}) if own.keys() - declared else declared
    yield from _named(item, names)


def _memory_of(item: object) -> npt.NDArray[np.uint8] | None:
    """Return the memory of a buffer or of a tensor as an array of bytes; None where it has none."""
    if isinstance(item, np.ndarray | memoryview):
        return None
    buffer: Any = item
    if _is_tensor(type(item)):
        storage = buffer.untyped_storage() if hasattr(item, "untyped_storage") else buffer
        if storage.device.type != "cpu" or not storage.nbytes():
            return None
        buffer = (ctypes.c_uint8 * storage.nbytes()).from_address(storage.data_ptr())
    try:
        return np.frombuffer(buffer, np.uint8)
    except (TypeError, ValueError, BufferError, AttributeError):
        # It is no buffer, is empty, or was closed.
        return None


def _is_tensor(kind: type) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(kind, torch.Tensor | torch.UntypedStorage)


@functools.lru_cache(maxsize=4096)
def _declared(kind: type) -> tuple[str, ...]:
    """Return what the slots and fields of a class name, sorted."""
    names: set[str] = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    for owner in kind.__mro__:
        slots = owner.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    return tuple(sorted(names - {"__dict__", "__weakref__"}))


def _named(item: object, names: tuple[str, ...] | list[str]) -> Iterator[tuple[Step, object]]:
    for name in names:
        try:
            value = object.__getattribute__(item, name)
        except (AttributeError, ValueError):
            # A slot that was never filled, or a name that its class mangles.
            continue
        yield (".{}", name), value


_EXACT: Mapping[type, Follow] = {
    np.ndarray: _of_array,
    dict: _of_dict,
    **dict.fromkeys((list, tuple, set, frozenset), _of_items),
    FunctionType: _of_function,
    **dict.fromkeys(PROXIES, _of_proxy),
}
_WAYS: tuple[tuple[type | tuple[type, ...], Follow], ...] = (
    (np.ndarray, _of_array),
    (memoryview, _of_view),
    (dict, _of_dict),
    (Mapping, _of_mapping),
    ((list, tuple, set, frozenset), _of_items),
    (functools.partial, functools.partial(_named, names=("func", "args", "keywords"))),
    (MethodType, functools.partial(_named, names=("__self__", "__func__"))),
    (weakref.ReferenceType, _of_weak_reference),
    ((np.void, np.flatiter), functools.partial(_named, names=("base",))),
    (np.nditer, functools.partial(_named, names=("operands",))),
    (np.broadcast, functools.partial(_named, names=("iters",))),
)
