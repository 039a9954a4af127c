"""What a model that is handed over as an object was made with, as far as JSON can say it."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

_PLAIN = (str, int, float, bool, type(None))
_CONTAINERS = (list, tuple, dict, set, frozenset)


def object_state(value: object) -> object:
    """Say what an object was made with, so that it is resumed only when it is the same again.

    That is its attributes and, where there are any, what its class has for all its objects, what
    its methods close over, and plain values that they read by a name of their module: each may
    differ between two runs of one and the same code.

    Args:
        value: An object, or a class that needs no argument.

    Returns:
        It, JSON-ready. What JSON cannot say, such as an array, gives a name that never comes again:
        such a model is always computed.
    """
    kind = value if isinstance(value, type) else type(value)
    owners = [owner for owner in kind.__mro__ if _is_users(owner)]
    functions = [(owner, function) for owner in owners for function in _functions(owner)]
    parts = {
        "slots": dict(_slots(value)),
        "of the class": {
            f"{owner.__qualname__}.{name}": held
            for owner in owners
            for name, held in vars(owner).items()
            if not name.startswith("__") and _is_data(held)
        },
        "closed over": {
            f"{function.__qualname__} {name}": cell.cell_contents
            for _, function in functions
            for name, cell in zip(
                function.__code__.co_freevars, function.__closure__ or (), strict=True
            )
            if _is_bound(cell) and not _is_code(cell.cell_contents)
        },
        "of the module": {
            f"{owner.__module__}.{name}": function.__globals__[name]
            for owner, function in functions
            for name in _names(function.__code__)
            if not name.startswith("__")
            and isinstance(function.__globals__.get(name, kind), _PLAIN)
        },
    }
    own = {} if isinstance(value, type) else getattr(value, "__dict__", {})
    found = {name: part for name, part in parts.items() if part}
    state = {**found, "attributes": own} if found else own
    try:
        return json.loads(json.dumps(state, sort_keys=True, allow_nan=False))
    except (TypeError, ValueError):
        return secrets.token_hex(16)


def _is_users(owner: type) -> bool:
    """Tell whether a class is of the user, and not of Python or of an installed package."""
    if owner.__module__.partition(".")[0] in {*sys.stdlib_module_names, "dygenept"} - {"__main__"}:
        return False
    file = getattr(sys.modules.get(owner.__module__), "__file__", None) or ""
    return "site-packages" not in file


def _functions(owner: type) -> Iterator[FunctionType]:
    """Yield the methods of a class: plain ones, of classes, static ones and properties."""
    for held in vars(owner).values():
        for part in (held, *(getattr(held, name, None) for name in ("__func__", "fget", "func"))):
            if isinstance(part, FunctionType):
                yield part


def _slots(value: object) -> Iterator[tuple[str, object]]:
    """Yield what is in slots, which ``vars`` does not show."""
    for owner in () if isinstance(value, type) else type(value).__mro__:
        slots = vars(owner).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            descriptor = vars(owner).get(_mangled(owner, name))
            if name in ("__dict__", "__weakref__") or descriptor is None:
                continue
            try:
                yield f"{owner.__qualname__}.{name}", descriptor.__get__(value, owner)
            except AttributeError:
                # It was never filled.
                continue


def _mangled(owner: type, name: str) -> str:
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.__name__.lstrip('_')}{name}" if is_private else name


def _is_code(held: object) -> bool:
    return isinstance(held, type | ModuleType | FunctionType)


def _is_data(held: object) -> bool:
    """Tell values from methods, descriptors and what only serves, such as a logger."""
    return isinstance(held, (*_PLAIN, *_CONTAINERS)) or hasattr(held, "__array__")


def _is_bound(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code reads from its module, also within comprehensions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
