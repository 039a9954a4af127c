"""Commands that take records of flags instead of one parameter per option."""

from __future__ import annotations

import copy
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from inspect import Parameter


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Let Typer see each field of a command's dataclass parameters as a parameter of its own.

    The fields are annotated as Typer's parameters are. A class's own fields come before those
    that it inherits, so that ``--help`` shows what is particular to a command first, in the group
    that the class names as its ``panel``.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    records: dict[str, type] = {}
    flat: list[Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            records[parameter.name] = typing.cast("type", hint)
            flat += _fields(records[parameter.name])
        else:
            flat.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    def run(**values: object) -> None:
        for name, record in records.items():
            values[name] = record(**{item.name: values.pop(item.name) for item in fields(record)})
        command(**values)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, __name__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    # What `inspect.signature`, and so Typer, reads first.
    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    return run


@cache
def _fields(record: type) -> list[Parameter]:
    hints = typing.get_type_hints(record, include_extras=True)
    defaults = {
        item.name: Parameter.empty if item.default is MISSING else item.default
        for item in fields(record)
    }
    owners = {
        name: owner
        for owner in record.__mro__
        for name in inspect.get_annotations(owner)
        if name in defaults
    }
    return [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=defaults[name],
            annotation=_in_panel(hints[name], vars(owner).get("panel")),
        )
        for name, owner in owners.items()
    ]


def _in_panel(hint: object, panel: str | None) -> object:
    """Put an option into a group of the help screen; the hint itself stays, others share it."""
    if panel is None:
        return hint
    kind, option = typing.get_args(hint)
    option = copy.copy(option)
    option.rich_help_panel = panel
    return typing.Annotated[kind, option]
