"""Commands that take records of flags."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from dygenept_cli.flags.records import with_flags


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
