"""Every array that can be reached from an object by following its own references.

Attributes, containers, closures, bound methods, the buffers behind views and the parts of sparse
matrices are followed; modules, classes and a function's globals are not, since everything in the
process can be reached through them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import LeakageError
from dygenept.types import Condition, Perturbation

Array = npt.NDArray[Any]

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
    pending: list[tuple[str, object]] = [(name, root)]
    # Objects are kept as well as their ids, so that no id is given out a second time.
    seen: dict[int, object] = {}
    while pending:
        if len(seen) > MAX_OBJECTS:
            raise LeakageError(
                f"more than {MAX_OBJECTS:,} objects can be reached from {name}, too many to check; "
                f"{pending[-1][0]} is one of them"
            )
        path, item = pending.pop()
        if _ends(item) or id(item) in seen:
            continue
        seen[id(item)] = item
        yield path, item
        pending.extend(_references(path, item))


def _ends(item: object) -> bool:
    """Tell whether nothing further can be reached from an object."""
    return type(item) in _PLAIN or isinstance(item, _LEAVES)


def reachable_arrays(root: object, name: str = "task") -> Iterator[tuple[str, Array]]:
    """Yield the arrays among what can be reached."""
    for path, item in reachable(root, name):
        if isinstance(item, np.ndarray):
            yield path, item


def _references(path: str, item: object) -> Iterator[tuple[str, object]]:
    if isinstance(item, np.ndarray):
        yield f"{path}.base", item.base
        if item.dtype.hasobject and set(map(type, item.flat)) != {str}:
            yield from ((f"{path}[…]", value) for value in item.flat if not _ends(value))
    elif isinstance(item, memoryview):
        yield f"{path}.obj", item.obj
    elif type(item) is dict or isinstance(item, Mapping):
        pairs = list(item.items())
        if _PLAIN.issuperset(type(part) for pair in pairs for part in pair):
            return
        for key, value in pairs:
            if not _ends(key):
                yield f"{path} key", key
            if not _ends(value):
                yield f"{path}[{key!r}]", value
    elif isinstance(item, list | tuple | set | frozenset):
        # Thousands of names are looked at in one go.
        if _PLAIN.issuperset(map(type, item)):
            return
        yield from (
            (f"{path}[{number}]", value) for number, value in enumerate(item) if not _ends(value)
        )
    elif isinstance(item, functools.partial):
        yield from _named(path, item, ("func", "args", "keywords"))
    elif isinstance(item, MethodType):
        yield from _named(path, item, ("__self__", "__func__"))
    elif isinstance(item, FunctionType):
        yield from _named(path, item, ("__defaults__", "__kwdefaults__"))
        for cell in item.__closure__ or ():
            # A cell is empty while the name that it stands for is not bound yet.
            yield f"{path} closure", getattr(cell, "cell_contents", None)
    else:
        yield from _attributes(path, item)


def _attributes(path: str, item: object) -> Iterator[tuple[str, object]]:
    own = getattr(item, "__dict__", {})
    kind: Any = type(item)
    declared = _declared(kind)
    yield from _named(path, item, sorted({*declared, *own}) if own else declared)


@functools.lru_cache(maxsize=4096)
def _declared(kind: type) -> tuple[str, ...]:
    """Return what the slots and fields of a class name, sorted."""
    names: set[str] = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    for owner in kind.__mro__:
        slots = owner.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    return tuple(sorted(names - {"__dict__", "__weakref__"}))


def _named(
    path: str, item: object, names: tuple[str, ...] | list[str]
) -> Iterator[tuple[str, object]]:
    for name in names:
        try:
            value = object.__getattribute__(item, name)
        except (AttributeError, ValueError):
            # A slot that was never filled, or a name that its class mangles.
            continue
        if not _ends(value):
            yield f"{path}.{name}", value
