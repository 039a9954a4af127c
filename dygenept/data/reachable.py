"""Every array that can be reached from an object by following its own references.

Attributes, containers, closures, bound methods, the buffers behind views and the parts of sparse
matrices are followed; modules, classes and a function's globals are not, since everything in the
process can be reached through them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import LeakageError
from dygenept.types import Condition, Perturbation

Array = npt.NDArray[Any]
# A step from an object to what it refers to: the words of a path around a key, and the key.
_Step = tuple[str, object]
_Follow = Callable[[Any], Iterable[tuple[_Step, object]]]
# The step to an object and the path of what led there; a start is its name.
_Path = tuple[_Step, Any] | str

# Plain values have no references to follow.
_LEAVES = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, PurePath)
# These contain nothing but texts, and a data set has thousands; a class made of one is followed.
_NAMES = (Condition, Perturbation)
# Types that are told at once, whatever classes are made of them.
_PLAIN = frozenset((str, bytes, int, float, complex, bool, type(None), *_NAMES))
MAX_OBJECTS = 1_000_000


def reachable(root: object, name: str = "task") -> Iterator[tuple[str, object]]:
    """Yield every object that can be reached, with the path that leads to it.

    Args:
        root: Where to start.
        name: What paths call it.

    Yields:
        Paths such as ``task.cells.expression.data`` and the objects there, each object once.

    Raises:
        LeakageError: If there are too many to look at them all.
    """
    for path, item in _walk(root, name):
        yield _spelled(path), item


def reachable_arrays(root: object, name: str = "task") -> Iterator[tuple[str, Array]]:
    """Yield the arrays among what can be reached."""
    for path, item in _walk(root, name):
        if isinstance(item, np.ndarray):
            yield _spelled(path), item


def _walk(root: object, name: str) -> Iterator[tuple[_Path, object]]:
    kind: Any = type(root)
    pending: list[tuple[_Path, object]] = [] if _ends(kind) else [(name, root)]
    # Objects are kept as well as their ids, so that no id is given out a second time.
    seen: dict[int, object] = {}
    while pending:
        if len(seen) > MAX_OBJECTS:
            raise LeakageError(
                f"more than {MAX_OBJECTS:,} objects can be reached from {name}, too many to check; "
                f"{_spelled(pending[-1][0])} is one of them"
            )
        path, item = pending.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        yield path, item
        kind = type(item)
        for step, value in _way(kind)(item):
            kind = type(value)
            # Most references are to plain values, which need no call to be told.
            if kind not in _PLAIN and not _ends(kind):
                pending.append(((step, path), value))


def _spelled(path: _Path) -> str:
    """Write a path out; few are ever shown, so they are walked as steps."""
    words: list[str] = []
    while not isinstance(path, str):
        (around, key), path = path
        words.append(around.format(key))
    return path + "".join(reversed(words))


@functools.lru_cache(maxsize=4096)
def _ends(kind: type) -> bool:
    """Tell whether nothing further can be reached from objects of a class."""
    return kind in _PLAIN or issubclass(kind, _LEAVES)


@functools.lru_cache(maxsize=4096)
def _way(kind: type) -> _Follow:
    """Return what lists the references of an object of a class."""
    for kinds, follow in _WAYS:
        if issubclass(kind, kinds):
            return follow
    return functools.partial(_attributes, declared=_declared(kind))


def _of_array(item: Array) -> Iterator[tuple[_Step, object]]:
    yield (".base", None), item.base
    if item.dtype.hasobject and set(map(type, item.flat)) != {str}:
        yield from ((("[…]", None), value) for value in item.flat)


def _of_view(item: memoryview) -> Iterator[tuple[_Step, object]]:
    yield (".obj", None), item.obj


def _of_mapping(item: Mapping[object, object]) -> Iterator[tuple[_Step, object]]:
    pairs = list(item.items())
    if _PLAIN.issuperset(type(part) for pair in pairs for part in pair):
        return
    for key, value in pairs:
        yield (" key", None), key
        yield ("[{!r}]", key), value


def _of_items(item: Iterable[object]) -> Iterator[tuple[_Step, object]]:
    # Thousands of names are looked at in one go.
    if not _PLAIN.issuperset(map(type, item)):
        yield from ((("[{}]", number), value) for number, value in enumerate(item))


def _of_function(item: FunctionType) -> Iterator[tuple[_Step, object]]:
    yield from _named(item, ("__defaults__", "__kwdefaults__"))
    for cell in item.__closure__ or ():
        # A cell is empty while the name that it stands for is not bound yet.
        yield (" closure", None), getattr(cell, "cell_contents", None)


def _attributes(item: object, declared: tuple[str, ...]) -> Iterator[tuple[_Step, object]]:
    own = getattr(item, "__dict__", {})
    return _named(item, sorted({*declared, *own}) if own.keys() - declared else declared)


@functools.lru_cache(maxsize=4096)
def _declared(kind: type) -> tuple[str, ...]:
    """Return what the slots and fields of a class name, sorted."""
    names: set[str] = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    for owner in kind.__mro__:
        slots = owner.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    return tuple(sorted(names - {"__dict__", "__weakref__"}))


def _named(item: object, names: tuple[str, ...] | list[str]) -> Iterator[tuple[_Step, object]]:
    for name in names:
        try:
            value = object.__getattribute__(item, name)
        except (AttributeError, ValueError):
            # A slot that was never filled, or a name that its class mangles.
            continue
        yield (".{}", name), value


_WAYS: tuple[tuple[type | tuple[type, ...], _Follow], ...] = (
    (np.ndarray, _of_array),
    (memoryview, _of_view),
    (Mapping, _of_mapping),
    ((list, tuple, set, frozenset), _of_items),
    (functools.partial, functools.partial(_named, names=("func", "args", "keywords"))),
    (MethodType, functools.partial(_named, names=("__self__", "__func__"))),
    (FunctionType, _of_function),
)
