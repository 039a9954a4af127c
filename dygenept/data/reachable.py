"""Every array that can be reached from an object by following what it refers to.

Attributes and what Python's garbage collector lists are followed, as are the buffers behind views,
the parts of sparse matrices and the targets of weak references. Modules, classes, frames and a
function's globals are not, since everything in the process can be reached through them.
``references`` says how each kind of object is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dygenept.data.references import PROXIES, Step, ends, is_foreign_array, references
from dygenept.errors import LeakageError

Array = npt.NDArray[Any]
# The step to an object and the path of what led there; a start is its name.
_Path = tuple[Step, Any] | str

MAX_OBJECTS = 1_000_000


def reachable(root: object, name: str = "task") -> Iterator[tuple[str, object]]:
    """Yield every object that can be reached, with the path that leads to it.

    Args:
        root: Where to start.
        name: What paths call it.

    Yields:
        Paths such as ``task.cells.expression.data`` and the objects there, each object once.

    Raises:
        LeakageError: If there are too many to look at them all, or one cannot be looked through.
    """
    for path, item in _walk(root, name):
        yield _spelled(path), item


def reachable_arrays(
    root: object, name: str = "task", *, only_numpy: bool = False
) -> Iterator[tuple[str, Array]]:
    """Yield the arrays among what can be reached.

    Raises:
        LeakageError: As of ``reachable``; with ``only_numpy`` also if an array of another library
            can be reached, of which it cannot be told what memory or which file it stands for.
    """
    for path, item in _walk(root, name):
        kind: Any = type(item)
        if issubclass(kind, np.ndarray):
            yield _spelled(path), cast(Array, item)
        elif only_numpy and is_foreign_array(kind):
            raise LeakageError(
                f"{_spelled(path)} is a {kind.__name__}, of which no memory or file can be checked"
            )


def _walk(root: object, name: str) -> Iterator[tuple[_Path, object]]:
    kind: Any = type(root)
    pending: list[tuple[_Path, object]] = [] if ends(kind) else [(name, root)]
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
        kind = type(item)
        # A proxy stands in for its target, which is followed; a dead one answers no question.
        if kind not in PROXIES:
            yield path, item
        try:
            for step, value in references(kind)(item):
                # Most references are to plain values or to what is known already.
                kind = type(value)
                if not ends(kind) and id(value) not in seen:
                    pending.append(((step, path), value))
        except Exception as error:
            # What computes its contents may fail for any reason of its own.
            raise LeakageError(
                f"what {_spelled(path)} refers to cannot be listed: {error!r}"
            ) from error


def _spelled(path: _Path) -> str:
    """Write a path out; few are ever shown, so they are walked as steps."""
    words: list[str] = []
    while not isinstance(path, str):
        (around, key), path = path
        words.append(around.format(key))
    return path + "".join(reversed(words))
