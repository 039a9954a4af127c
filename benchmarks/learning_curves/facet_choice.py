"""How often does the closed form read facets, and what does it gain by them?

    python benchmarks/learning_curves/facet_choice.py OUTPUT.json --thresholds 1.5 1.645 2
    python benchmarks/learning_curves/facet_choice.py OUTPUT.json go85:40:10 none@0.1:97:16

simulates screens whose effects follow GO texts to a stated part, draws random subsets of their
single perturbations as train, fits the closed form of ``dygenept_small`` and scores the others. A
row is named EFFECTS[@SCALE]:TRAIN:FITS, with effects as ``EFFECTS`` below names them; without rows
all of ``docs/benchmarks.md`` are measured.

The rule takes facets up where both gains over the linear model, the genes' own codes alone, exceed
some standard errors on train perturbations that are held out. Every threshold is put to the same
held-out scores; what it chooses is then fitted to all train perturbations, and each choice that
differs is fitted once. A fit that reads no facets is the linear model, and gains nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from unittest import mock

import numpy as np
import torch

import dygenept as dg
from dygenept.data.simulated import effects
from dygenept.model.overrides import Overrides
from dygenept.model.start import facet_tuning
from dygenept.model.start.left_out import best_for_strong_and_weak
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.types import DoubleArray

METRIC = "pearson_delta_top20"
REFERENCE = 0  # The linear model's position among the settings that compete.
ROWS = (
    *("go85@0.03:24:10", "go85@0.03:40:10", "go85@0.06:66:6", "go40:40:8", "go40:97:8"),
    *("shipped@0.1:97:8", "shipped@0.2:60:6", "shipped@0.2:174:6"),
    *("none:40:16", "none:97:16", "dealt:40:12", "dealt:97:12"),
)


# Strengths of the simulator's second version, about twice those that ship now, and its common
# direction: whether a rule reads what is planted is asked where there is something to read.
STRONG: Mapping[str, float] = MappingProxyType(
    {
        "EFFECT_SIZE": 2.0,
        "STRENGTH_MEDIAN": 1.0,
        "STRENGTH_SPREAD": 1.0,
        "MAX_STRENGTH": 5.0,
        "NULL_STRENGTH": 0.1,
        "RESPONSE_SPREAD": 0.0,
        "RESPONSE_CHANGED_SHARE": 0.02,
        "RESPONSE_READINESS": 1.0,
    }
)


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects to plant.

    Attributes:
        name: What the table calls them.
        shares: Of each source in the squared effects; those that ship by default.
        null_share: Share of perturbations that change next to nothing.
        strengths: Constants of ``dygenept.data.simulated.effects`` that say how strong effects are,
            where they are not those that ship.
        scale: Of ``sim:k562``, where a row names none.
        facets: Facet set instead of the model's own.
    """

    name: str
    shares: Mapping[str, float] = field(default_factory=lambda: effects.SOURCE_SHARES)
    null_share: float = effects.NULL_SHARE
    strengths: Mapping[str, float] = field(default_factory=dict)
    scale: float = 0.1
    facets: str | None = None


def _shares(go: float, common: float, graph: float, hidden: float, own: float) -> dict[str, float]:
    return {"common": common, "go_text": go, "string_graph": graph, "hidden": hidden, "own": own}


EFFECTS = {
    "go85": Effects(
        "85 % in GO texts", _shares(0.85, 0.1, 0.0, 0.0, 0.05), 0.0, STRONG, scale=0.03
    ),
    "go40": Effects("40 % in GO texts", _shares(0.4, 0.3, 0.1, 0.1, 0.1), 0.3, STRONG),
    "shipped": Effects("20 %, as shipped"),
    "none": Effects("none in GO texts", _shares(0.0, 0.45, 0.125, 0.225, 0.2), 0.55, STRONG),
    "dealt": Effects("as shipped, texts of other genes", facets="shuffled"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: effects, scale, number of train perturbations and of fits."""

    effects: str
    scale: float
    n_train: int
    n_fits: int

    @classmethod
    def parse(cls, text: str) -> Row:
        """Read EFFECTS[@SCALE]:TRAIN:FITS.

        Raises:
            argparse.ArgumentTypeError: If it is anything else, or train perturbations are too few
                for a part of them to be held out.
        """
        try:
            planted, n_train, n_fits = text.split(":")
            name, _, scale = planted.partition("@")
            row = cls(name, float(scale or EFFECTS[name].scale), int(n_train), int(n_fits))
        except (KeyError, ValueError) as error:
            known = ", ".join(EFFECTS)
            raise argparse.ArgumentTypeError(
                f"{text!r} is not EFFECTS[@SCALE]:TRAIN:FITS with effects of {known}"
            ) from error
        if name not in EFFECTS or row.n_train < facet_tuning.MIN_CONDITIONS or row.n_fits < 1:
            raise argparse.ArgumentTypeError(
                f"{text!r}: effects are {', '.join(EFFECTS)}, at least "
                f"{facet_tuning.MIN_CONDITIONS} train perturbations and one fit"
            )
        return row


@dataclass(slots=True)
class Rule:
    """Stands in for the rule: notes what each threshold would choose, and gives what is wanted."""

    thresholds: Sequence[float]
    wanted: int = REFERENCE
    choices: tuple[int, ...] = ()

    def __call__(
        self, errors: DoubleArray, cosines: DoubleArray, *, reference: int, n_spreads: float
    ) -> int:
        """Choose; arguments are those of ``best_for_strong_and_weak``."""
        assert reference == REFERENCE
        assert n_spreads == facet_tuning.N_SPREADS
        self.choices = tuple(
            best_for_strong_and_weak(errors, cosines, reference=reference, n_spreads=z)
            for z in self.thresholds
        )
        return self.wanted


@contextmanager
def planted(kind: Effects) -> Iterator[None]:
    """Let screens that are simulated meanwhile have these effects."""
    shares, null_share = dict(kind.shares), kind.null_share
    with mock.patch.multiple(
        effects, SOURCE_SHARES=shares, NULL_SHARE=null_share, **kind.strengths
    ):
        yield


def score(row: Row, environment: Environment, manifest: Path, rule: Rule) -> float:
    """Fit the closed form under a rule; return the mean score of the test perturbations."""
    request = BenchRequest(
        dataset=f"sim:k562@{row.scale:g}",
        split="manifest",
        split_options={"path": str(manifest)},
        results=manifest.parent / f"setting-{rule.wanted}",
        models=("dygenept_small",),
        metrics=(METRIC,),
        overrides=Overrides(
            parts={}, facets=EFFECTS[row.effects].facets, sets=("training.epochs=0",)
        ),
    )
    with mock.patch.object(facet_tuning, "best_for_strong_and_weak", rule):
        (record,) = run_bench(request, environment).records
    (metric,) = record.metrics
    return float(np.mean([each.value for each in metric.values if each.value is not None]))


def fits(row: Row, thresholds: Sequence[float], folder: Path) -> Iterator[dict[str, object]]:
    """Fit to one random subset after the other.

    Args:
        row: What to simulate, and how many perturbations and subsets to draw.
        thresholds: Standard errors that both gains must exceed.
        folder: Keeps data sets; those of other effects have folders of their own.

    Yields:
        The linear model's score, and of each threshold the chosen setting (0 for the linear model)
        and the gain over the linear model.
    """
    with planted(EFFECTS[row.effects]):
        environment = Environment.load(data_dir=folder / row.effects)
        data = dg.load_dataset(f"sim:k562@{row.scale:g}", environment=environment)
        labels = sorted(p.label for p in data.perturbations if len(p.genes) == 1)
        if row.n_train >= len(labels):
            raise SystemExit(f"{row}: the screen has only {len(labels)} single perturbations")
        for seed in range(row.n_fits):
            mixed = [labels[at] for at in np.random.default_rng(seed).permutation(len(labels))]
            fold = {"train": mixed[: row.n_train], "val": [], "test": mixed[row.n_train :]}
            with tempfile.TemporaryDirectory() as results:
                manifest = Path(results) / "fold.json"
                manifest.write_text(json.dumps(fold), encoding="utf-8")
                rule = Rule(thresholds)
                scores = {REFERENCE: score(row, environment, manifest, rule)}
                for setting in sorted({*rule.choices} - {REFERENCE}):
                    again = Rule(thresholds, wanted=setting)
                    scores[setting] = score(row, environment, manifest, again)
                    assert again.choices == rule.choices
            yield {
                "effects": row.effects,
                "scale": row.scale,
                "n_train": row.n_train,
                "n_test": len(fold["test"]),
                "seed": seed,
                "linear_model": scores[REFERENCE],
                "settings": list(rule.choices),
                "gains": [scores[setting] - scores[REFERENCE] for setting in rule.choices],
            }


def study(given: argparse.Namespace) -> dict[str, object]:
    """Measure every row; the file is written anew after each fit."""
    found: list[dict[str, object]] = []
    document: dict[str, object] = {
        "schema_version": 1,
        "simulated": True,
        "metric": METRIC,
        "thresholds": list(given.thresholds),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "fits": found,
    }
    with tempfile.TemporaryDirectory() as folder:
        for row in given.rows or [Row.parse(text) for text in ROWS]:
            for fit in fits(row, given.thresholds, Path(folder)):
                found.append(fit)
                sys.stderr.write(f"{fit}\n")
                given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def table(document: Mapping[str, object]) -> str:
    """Return shares of fits that read facets and mean gains as a Markdown table."""
    found, thresholds = document["fits"], document["thresholds"]
    assert isinstance(found, list)
    assert isinstance(thresholds, list)
    head = "".join(f" both gains above {z:g} |" for z in thresholds)
    lines = [f"| simulated effects, train perturbations | fits |{head}"]
    lines.append("|---" * (len(thresholds) + 2) + "|")
    key = ("effects", "scale", "n_train")
    for row in dict.fromkeys(tuple(fit[name] for name in key) for fit in found):
        of_row = [fit for fit in found if tuple(fit[name] for name in key) == row]
        kind, scale, n_train = row
        reads = np.mean([np.array(fit["settings"]) != REFERENCE for fit in of_row], axis=0)
        gains = np.mean([fit["gains"] for fit in of_row], axis=0)
        cells = "".join(
            f" {read:.2f}, {round(gain, 3) + 0.0:.3f} |"
            for read, gain in zip(reads, gains, strict=True)
        )
        name = f"{EFFECTS[kind].name}, {n_train} (`sim:k562@{scale:g}`)"
        lines.append(f"| {name} | {len(of_row)} |{cells}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write JSON and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument(
        "rows",
        type=Row.parse,
        nargs="*",
        metavar="EFFECTS[@SCALE]:TRAIN:FITS",
        help=f"effects of {', '.join(EFFECTS)}; all rows of docs/benchmarks.md without any",
    )
    parser.add_argument(
        "--thresholds",
        type=float,
        nargs="+",
        default=(facet_tuning.N_SPREADS,),
        help="standard errors that both gains must exceed; those of the rule by default",
    )
    sys.stdout.write(table(study(parser.parse_args(arguments))) + "\n")


if __name__ == "__main__":
    main()
