"""Commands that take records of flags instead of one parameter per option."""

from __future__ import annotations

import copy
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache
from inspect import Parameter

import typer

OPTION = "option"


def flag(
    help: str,
    *names: str,
    default: object = None,
    metavar: str | None = None,
    min: float | None = None,
    max: float | None = None,
    show_default: bool = True,
) -> typing.Any:
    """Declare an option, as a field of a record or the default of a command's parameter.

    Args:
        help: What the help screen says of it.
        names: Its names on the command line, by default that of the field with hyphens.
        default: Its value where it is not given; ``...`` where it must be.
        metavar: What stands for its value on the help screen.
        min: Least number.
        max: Largest number.
        show_default: The help screen says the default.
    """
    option = typer.Option(
        ..., *names, help=help, metavar=metavar, min=min, max=max, show_default=show_default
    )
    value = MISSING if default is ... else default
    return field(default=value, metadata={OPTION: option})


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Let Typer see each field of a command's dataclass parameters as a parameter of its own.

    The fields are declared by ``flag``, or annotated as Typer's parameters are. A class's own
    fields come before those that it inherits, so that ``--help`` shows what is particular to a
    command first, in the group that the class names as its ``panel``.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    records: dict[str, type] = {}
    flat: list[Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            records[parameter.name] = typing.cast("type", hint)
            flat += _fields(records[parameter.name])
        elif isinstance(parameter.default, Field):
            flat.append(_parameter(parameter.name, parameter.default, hint))
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
    items = {item.name: item for item in fields(record)}
    owners = {
        name: owner
        for owner in record.__mro__
        for name in inspect.get_annotations(owner)
        if name in items
    }
    return [
        _parameter(name, items[name], hints[name], vars(owner).get("panel"))
        for name, owner in owners.items()
    ]


def _parameter(name: str, item: Field[object], hint: object, panel: str | None = None) -> Parameter:
    """Return a parameter as Typer has it, in a group of the help screen."""
    option = item.metadata.get(OPTION)
    if option is None:
        hint, shared = typing.get_args(hint)
        # Records share such options, and each may put them into a group of its own.
        option = copy.copy(shared)
    else:
        option = copy.copy(option)
        usual = f"--{name.rstrip('_').replace('_', '-')}"
        option.param_decls = option.param_decls or (usual,)
    option.rich_help_panel = panel
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if item.default is MISSING else item.default,
        annotation=typing.Annotated[hint, option],
    )
