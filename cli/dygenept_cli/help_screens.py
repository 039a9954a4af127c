"""Help screens: options in named groups, and examples at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter
    from typer.models import CommandInfo

# Signs of a command's first sentence; none is as long.
LONGEST = 1000
HELP_NAMES = {"help_option_names": ["-h", "--help"]}
# By command; each line is a command that works as it stands, given the files that it names.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "dygenept bench --suite quick",
        "dygenept bench --dataset screen.h5ad --model dygenept_small --model ridge",
    ),
    "bench": (
        "dygenept bench --dataset screen.h5ad --folds 5 --seed 42",
        "dygenept bench --dataset screen.h5ad --model dygenept_small --attention softmax",
        "dygenept bench --dataset screen.h5ad --dry-run",
    ),
    "leaderboard": (
        "dygenept leaderboard --metric pearson_delta_top20 --metric mse",
        "dygenept leaderboard --format html --output board.html",
    ),
    "precompute": (
        "dygenept precompute --genes genes.txt --writer go --encoder tfidf --kg go --output facets",
        "dygenept precompute --genes genes.txt --step 1,2 --output facets",
    ),
    "compare": ("dygenept compare dygenept_small linear_loo", "dygenept compare ridge knn gp"),
    "rank": ("dygenept rank --results results", "dygenept rank --metric mse --json"),
    "train": ("dygenept train --dataset screen.h5ad --model dygenept_small --output my-model",),
    "evaluate": ("dygenept evaluate --checkpoint my-model --dataset screen.h5ad",),
    "predict": (
        "dygenept predict --checkpoint my-model --perturbation KLF1+JUN --output prediction.csv",
        "dygenept predict --dataset screen.h5ad --model additive --perturbation KLF1+JUN",
        "dygenept predict --checkpoint my-model --genes genes.txt --combinations pairs "
        "--output pairs.parquet",
    ),
    "rank-perturbations": (
        "dygenept rank-perturbations --checkpoint my-model --target state.csv --top 10",
    ),
    "explain": ("dygenept explain --checkpoint my-model --perturbation KLF1+JUN",),
    "score": ("dygenept score --predictions mine.csv --dataset screen.h5ad --name my_model",),
    "show": ("dygenept show ridge KLF1",),
    "site build": ("dygenept site build results --output site",),
    "rerun": ("dygenept rerun results/runs/KEY.json",),
    "reproduce": ("dygenept reproduce langpert",),
    "embed": (
        "dygenept embed --cell-encoder scgpt --checkpoint DIR --dataset screen.h5ad "
        "--output cells.npz",
    ),
    "doctor": ("dygenept doctor", "dygenept doctor --json"),
    "data list": ("dygenept data list", "dygenept data list --json"),
    "data info": ("dygenept data info screen.h5ad", "dygenept data info k562"),
    "data fetch": ("dygenept data fetch norman k562", "dygenept data fetch --force string"),
    "data verify": ("dygenept data verify screen.h5ad --condition-column gene --control NT",),
    "data prepare": ("dygenept data prepare screen.h5ad --output prepared.h5ad",),
    "data simulate": ("dygenept data simulate norman --scale 0.05 --output made.h5ad",),
    "knowledge show": ("dygenept knowledge show KLF1", "dygenept knowledge show KLF1 --kg string"),
    "plugins list": ("dygenept plugins list --kind metrics",),
    "plugins show": ("dygenept plugins show ridge", "dygenept plugins show metrics/mse"),
    "plugins check": ("dygenept plugins check --plugin my_metric.py",),
    "plugins new": (
        "dygenept plugins new metrics my_metric",
        "dygenept plugins new attention my_attention --package",
    ),
    "metrics audit": ("dygenept metrics audit --dataset screen.h5ad --plot ranges.svg",),
    "plot results": (
        "dygenept plot results forest --output forest.svg",
        "dygenept plot results paired --model ridge --model knn --output paired.svg",
    ),
    "plot learning": ("dygenept plot learning --metric mse --output learning.svg",),
    "plot coverage": ("dygenept plot coverage --dataset screen.h5ad --output coverage.svg",),
    "plot history": ("dygenept plot history --checkpoint my-model --output history.svg",),
    "suites list": ("dygenept suites list",),
    "suites show": ("dygenept suites show quick",),
    "export predictions": (
        "dygenept export predictions --model additive --output predictions.csv",
    ),
    "export cell-eval": ("dygenept export cell-eval --model additive --output ce",),
    "env list": ("dygenept env list",),
    "env build": ("dygenept env build gears",),
    "env remove": ("dygenept env remove gears", "dygenept env remove --all"),
}


# What typer calls the values of options, and what a reader does.
VALUES = {"<int range>": "N", "<int>": "N", "<float range>": "X", "<float>": "X", "<path>": "PATH"}
OF_ARGUMENT = re.compile(r" <[\w\[\] ]+>$")
RANGE = re.compile(r"(-?[\d.]+)<=x<=(-?[\d.]+)")


class _Screen:
    """How help is laid out; a command and a group share it."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Return the parts of the line of usage: a required argument is its name alone."""
        pieces = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [_usage_piece(piece) for piece in pieces]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write each named group of options under its name."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            title = getattr(parameter, "rich_help_panel", None) or "Options"
            if parameter.param_type_name == "argument":
                title = "Arguments"
            groups.setdefault(title, []).append(readable(*record))
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples, long ones on several lines that a shell reads as one."""
        epilog: str | None = self.epilog  # type: ignore[attr-defined]
        if epilog:
            with formatter.section("Examples"):
                for line in epilog.splitlines():
                    for part in folded_command(line, formatter.width - 2):
                        formatter.write(f"{'':>{formatter.current_indent}}{part}\n")


def folded_command(line: str, width: int) -> list[str]:
    """Fold a command before its options where it does not fit; a shell reads it as one line."""
    parts = [""]
    for word in re.split(r" (?=--)", line):
        longer = f"{parts[-1]} {word}".strip() if len(parts) == 1 else f"{parts[-1]} {word}"
        if parts[-1] and len(longer) + 2 > width:
            parts[-1] += " \\"
            longer = f"    {word}"
        else:
            parts.pop()
        parts.append(longer)
    return parts


def _usage_piece(piece: str) -> str:
    plain = re.sub(r"^\{(.*)\}", r"\1", piece)
    return plain.removesuffix("...") if "…" in plain else plain


def readable(name: str, text: str) -> tuple[str, str]:
    """Write what an option takes, and its limits, in plain words."""
    for known, word in VALUES.items():
        name = name.replace(known, word)
    if name.startswith("-"):
        name = re.sub(r"<(?:str|list\[str\])>", "NAME", name)
        name = re.sub(r"<([\w|]+)>", r"\1", name)
    else:
        name = OF_ARGUMENT.sub("", name)
    text = RANGE.sub(lambda found: f"{float(found[1]):g} to {float(found[2]):g}", text)
    return name, re.sub(r"\bx>=(-?\d+)", r"at least \1", text)


class CommandScreen(_Screen, TyperCommand):
    """A command with such a help screen."""


class GroupScreen(_Screen, TyperGroup):
    """A group with such a help screen; its commands come after its options."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the whole first sentence of every command, on several lines where need be."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, command.get_short_help_str(LONGEST))
            for name, command in found
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def command_group(help: str) -> typer.Typer:
    """Return a group of commands, which stays one where it has a single command."""
    group = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
    group.callback()(lambda: None)
    return group


def command_name(command: CommandInfo) -> str:
    """Return what a command is called: its own name, else that of its function."""
    called = "" if command.callback is None else command.callback.__name__
    return command.name or called.strip("_").replace("_", "-")


def with_screens(app: typer.Typer, path: tuple[str, ...] = ()) -> None:
    """Give every command of an app, and of the apps in it, its help screen and examples."""
    for command in app.registered_commands:
        name = command_name(command)
        command.cls = CommandScreen
        command.epilog = "\n".join(EXAMPLES.get(" ".join((*path, name)), ())) or None
    for group in app.registered_groups:
        name = group.name or ""
        group.cls = GroupScreen
        inner = (found for key, found in EXAMPLES.items() if key.startswith(f"{name} "))
        group.epilog = "\n".join(found[0] for found in list(inner)[:2]) or None
        if group.typer_instance is not None:
            with_screens(group.typer_instance, (*path, name))
