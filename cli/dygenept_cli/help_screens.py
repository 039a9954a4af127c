"""Help screens: options in named groups, and examples at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    import typer
    from typer._click import Context, HelpFormatter

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
    "plot coverage": ("dygenept plot coverage --facets go_minilm --output coverage.svg",),
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


class _Screen:
    """How help is laid out; a command and a group share it."""

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
            groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        epilog: str | None = self.epilog  # type: ignore[attr-defined]
        if epilog:
            with formatter.section("Examples"):
                for line in epilog.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class CommandScreen(_Screen, TyperCommand):
    """A command with such a help screen."""


class GroupScreen(_Screen, TyperGroup):
    """A group with such a help screen; its commands come after its options."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def with_screens(app: typer.Typer, path: tuple[str, ...] = ()) -> None:
    """Give every command of an app, and of the apps in it, its help screen and examples."""
    for command in app.registered_commands:
        name = command.name or ""
        command.cls = CommandScreen
        command.epilog = "\n".join(EXAMPLES.get(" ".join((*path, name)), ())) or None
    for group in app.registered_groups:
        name = group.name or ""
        group.cls = GroupScreen
        inner = (found for key, found in EXAMPLES.items() if key.startswith(f"{name} "))
        group.epilog = "\n".join(found[0] for found in list(inner)[:2]) or None
        if group.typer_instance is not None:
            with_screens(group.typer_instance, (*path, name))
