"""Commands that take records of flags."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer
from typer.testing import CliRunner

from dygenept_cli.flags.records import flag, with_flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    quiet: Annotated[bool, typer.Option("--quiet")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Own(Common):
    size: Annotated[int, typer.Option("--size")]
    color: Annotated[str, typer.Option("--color")] = "red"


def paint(name: Annotated[str, typer.Argument()], own: Own) -> None:
    typer.echo(f"{name} {own!r}")


def test_a_record_is_seen_as_its_fields_with_inherited_ones_last() -> None:
    parameters = inspect.signature(with_flags(paint)).parameters
    assert list(parameters) == ["name", "size", "color", "quiet"]
    assert parameters["size"].default is inspect.Parameter.empty
    assert parameters["color"].default == "red"


def test_typer_fills_the_record_from_options() -> None:
    app = typer.Typer()
    app.command()(with_flags(paint))
    result = CliRunner().invoke(app, ["wall", "--size", "3", "--quiet"])
    assert result.output == f"wall {Own(size=3, quiet=True)!r}\n"


def test_a_required_field_is_a_required_option() -> None:
    app = typer.Typer()
    app.command()(with_flags(paint))
    assert CliRunner().invoke(app, ["wall"]).exit_code == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    panel: ClassVar[str] = "What is drawn"

    line_width: int = flag("Width of a line.", default=1, min=1, metavar="N")
    set_: list[str] | None = flag("Further settings.")
    file: str = flag("Where it goes.", default=...)


def draw(*, own: Declared, is_quick: bool = flag("In haste.", "--quick", default=False)) -> None:
    typer.echo(f"{own!r} {is_quick}")


def test_an_option_that_is_declared_is_named_after_its_field_or_parameter() -> None:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(with_flags(draw))
    given = ["--line-width", "3", "--set", "a=1", "--set", "b=2", "--file", "x", "--quick"]
    result = CliRunner().invoke(app, given)
    made = Declared(line_width=3, set_=["a=1", "b=2"], file="x")
    assert result.output == f"{made!r} True\n"
    assert CliRunner().invoke(app, ["--line-width", "0", "--file", "x"]).exit_code == 2
    assert CliRunner().invoke(app, []).exit_code == 2
    default = CliRunner().invoke(app, ["--file", "x"])
    assert default.output == f"{Declared(line_width=1, set_=None, file='x')!r} False\n"
