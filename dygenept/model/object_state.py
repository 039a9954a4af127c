"""What a model that is handed over as an object was made with, as far as JSON can say it."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

_PLAIN = (str, int, float, bool, type(None))
_CONTAINERS = (list, tuple, dict, set, frozenset)


def object_state(value: object) -> object:
    """Say what an object was made with, so that it is resumed only when it is the same again.

    That is its attributes and, where there are any, what its class has for all its objects, what
    its methods close over (and what functions among that close over in turn), the defaults of
    arguments where a function made the class, and plain values that they read by a name of their
    module: each may differ between two runs of one and the same code.

    Args:
        value: An object, or a class that needs no argument.

    Returns:
        It, JSON-ready. What JSON cannot say, such as an array, gives a name that never comes again:
        such a model is always computed.
    """
    kind = value if isinstance(value, type) else type(value)
    owners = [owner for owner in kind.__mro__ if _is_users(owner)]
    functions = list(_reached(owners))
    parts = {
        "slots": dict(_slots(value)),
        "of the class": {
            f"{owner.__qualname__}.{name}": held
            for owner in owners
            for name, held in vars(owner).items()
            if not name.startswith("__") and _is_data(held)
        },
        # In order: a method and what it wraps have one name.
        "closed over": [
            (f"{function.__qualname__} {name}", held)
            for function in functions
            for name, held in _closed_over(function)
            if not _is_code(held)
        ],
        "defaults": [
            (function.__qualname__, function.__defaults__, function.__kwdefaults__)
            for function in functions
            if "<locals>" in function.__qualname__
            and (function.__defaults__ or function.__kwdefaults__)
        ],
        "of the module": {
            f"{function.__globals__['__name__']}.{name}": function.__globals__[name]
            for function in functions
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
    return _is_users_module(owner.__module__)


def _is_users_module(name: str) -> bool:
    if name.partition(".")[0] in {*sys.stdlib_module_names, "dygenept"} - {"__main__"}:
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return "site-packages" not in file


def _reached(owners: list[type]) -> Iterator[FunctionType]:
    """Yield the users' functions among the methods of classes and what these close over.

    What a decorator of Python or of a package keeps beside a method, or what writes the methods of
    a data class, says nothing of the model.
    """
    pending = [function for owner in owners for function in _functions(owner)]
    seen: set[int] = set()
    for function in pending:
        if id(function) in seen:
            continue
        seen.add(id(function))
        is_written = function.__code__.co_filename != "<string>"
        if is_written and _is_users_module(function.__globals__.get("__name__", "")):
            yield function
        # The list grows while it is gone through.
        pending += [held for _, held in _closed_over(function) if isinstance(held, FunctionType)]


def _closed_over(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield the names that a function closes over, and their values where they have one."""
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            # It is not bound yet.
            continue


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


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code reads from its module, also within comprehensions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
