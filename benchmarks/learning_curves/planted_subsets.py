"""Random subsets of simulated screens whose effects follow GO texts to a stated part.

The studies of how facets are chosen share it: each fits the closed form of ``dygenept_small`` to
such subsets, with a stand-in for the rule that chooses, and scores all other perturbations.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol
from unittest import mock

import numpy as np
import torch

import dygenept as dg
from dygenept.data.simulated import effects, simulation
from dygenept.data.simulated.profiles import SIMULATION_VERSION
from dygenept.model.overrides import Overrides
from dygenept.model.start import facet_tuning
from dygenept.plugin.environment import Environment
from dygenept.results.records import RunRecord
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.types import DoubleArray, PerturbationData

METRIC = "pearson_delta_top20"
REFERENCE = 0  # The linear model's position among the settings that compete.


# Strengths and shared response as the simulator's second version had them, whose screens the rules
# and their bounds were tried on.
STRONG: Mapping[str, float] = MappingProxyType(
    {
        "STRENGTH_SPREAD": 1.0,
        "MAX_STRENGTH": 5.0,
        "WEAK_STRENGTH": 0.1,
        "WEAK_SPREAD": 1.0,
        "IDLE_PART": 0.0,
        "CELLS_AT_SIZE": 1.0,
        "RESPONSE_POWER": 1.0,
        "RESPONSE_SPREAD": 0.0,
        "RESPONSE_CHANGED_SHARE": 0.02,
        "RESPONSE_READINESS": 1.0,
    }
)


@dataclass(frozen=True, slots=True)
class Effects:
    """Effects to plant.

    Attributes:
        name: What the tables call them.
        shares: Of each source in the squared effects; those that ship by default.
        null_share: Share of perturbations that change next to nothing.
        as_before: Whether strengths are those of the simulator's second version.
        scale: Of ``sim:k562``, where a row names none.
        facets: Facet set instead of the model's own.
    """

    name: str
    shares: Mapping[str, float] = field(default_factory=lambda: effects.SOURCE_SHARES)
    null_share: float = effects.NULL_SHARE
    as_before: bool = False
    scale: float = 0.1
    facets: str | None = None


def _shares(go: float, common: float, graph: float, hidden: float, own: float) -> dict[str, float]:
    return {"common": common, "go_text": go, "string_graph": graph, "hidden": hidden, "own": own}


EFFECTS = {
    "go85": Effects(
        "85 % in GO texts", _shares(0.85, 0.1, 0.0, 0.0, 0.05), 0.0, as_before=True, scale=0.03
    ),
    "go40": Effects("40 % in GO texts", _shares(0.4, 0.3, 0.1, 0.1, 0.1), 0.3, as_before=True),
    "shipped": Effects(f"{effects.SOURCE_SHARES['go_text']:.0%}".replace("%", " %, as shipped")),
    "none": Effects(
        "none in GO texts", _shares(0.0, 0.45, 0.125, 0.225, 0.2), 0.55, as_before=True
    ),
    "dealt": Effects("as shipped, texts of other genes", facets="shuffled"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Rows of a table: effects, scale, number of train perturbations and of fits."""

    effects: str
    scale: float
    n_train: int
    n_fits: int

    @property
    def shown(self) -> str:
        """What tables call it."""
        return f"{EFFECTS[self.effects].name}, {self.n_train} (`sim:k562@{self.scale:g}`)"

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


def parser_of_rows(says: str | None, default: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command that writes JSON and takes rows.

    Args:
        says: The docstring of its module; the first line describes it.
        default: Rows where none is given: those of ``docs/benchmarks.md``.
    """
    parser = argparse.ArgumentParser(description=says.partition("\n")[0] if says else None)
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument(
        "rows",
        type=Row.parse,
        nargs="*",
        default=[Row.parse(text) for text in default],
        metavar="EFFECTS[@SCALE]:TRAIN:FITS",
        help=f"effects of {', '.join(EFFECTS)}; all rows of docs/benchmarks.md without any",
    )
    return parser


class Rule(Protocol):
    """Stands in for ``best_for_strong_and_weak``.

    Settings are candidates by numbers of steps: the linear model's codes, then texts.
    """

    @property
    def wanted(self) -> int:
        """The setting that it gives, whatever the scores are."""

    def __call__(
        self, errors: DoubleArray, cosines: DoubleArray, *, level: float
    ) -> tuple[int, int]:
        """Choose; arguments are those of ``best_for_strong_and_weak``."""


@contextmanager
def strengths_of_version_2() -> Iterator[None]:
    """Let screens that are simulated meanwhile have the strengths and draws of the second version.

    Where no perturbation is weak and none is of two genes, they are the screens that it gave.
    """
    with (
        mock.patch.multiple(effects, **STRONG),
        mock.patch.object(simulation, "SIMULATION_VERSION", 2),
    ):
        yield


@contextmanager
def planted(kind: Effects) -> Iterator[None]:
    """Let screens that are simulated meanwhile have these effects."""
    shares, null_share = dict(kind.shares), kind.null_share
    with (
        mock.patch.multiple(effects, SOURCE_SHARES=shares, NULL_SHARE=null_share),
        strengths_of_version_2() if kind.as_before else nullcontext(),
    ):
        yield


@dataclass(frozen=True, slots=True)
class Subset:
    """A random subset of single perturbations as train; all others are test.

    Attributes:
        row: What it belongs to.
        seed: Of its draw.
        n_test: How many perturbations are scored.
        data: The screen.
        environment: Has the data sets of these effects.
        manifest: The fold as a file; results are kept beside it.
        held_out: Scores of held-out parts by candidate, which are the same whatever is chosen.
    """

    row: Row
    seed: int
    n_test: int
    data: PerturbationData
    environment: Environment
    manifest: Path
    held_out: dict[int, DoubleArray] = field(default_factory=dict)

    def score(self, rule: Rule) -> tuple[float, RunRecord]:
        """Fit the closed form under a rule; return the mean score, and the record."""
        request = BenchRequest(
            dataset=self.data.name,
            opened=self.data,
            split="manifest",
            split_options={"path": str(self.manifest)},
            results=self.manifest.parent / f"setting-{rule.wanted}",
            models=("dygenept_small",),
            metrics=(METRIC,),
            overrides=Overrides(
                parts={}, facets=EFFECTS[self.row.effects].facets, sets=("training.epochs=0",)
            ),
        )
        with (
            mock.patch.object(facet_tuning, "best_for_strong_and_weak", rule),
            mock.patch.object(facet_tuning._Reading, "held_out", self._scored_once()),
        ):
            (record,) = run_bench(request, self.environment).records
        (metric,) = record.metrics
        known = [each.value for each in metric.values if each.value is not None]
        return float(np.mean(known)), record

    def _scored_once(self) -> Callable[..., DoubleArray]:
        """Return what scores a candidate, and asks the held-out parts in the first fit only."""
        score, known = facet_tuning._Reading.held_out, self.held_out

        def scored(
            reading: facet_tuning._Reading, at: int, *given: Any, **named: Any
        ) -> DoubleArray:
            if at not in known:
                known[at] = score(reading, at, *given, **named)
            return known[at]

        return scored

    def document(self) -> dict[str, object]:
        """Return what tells it from others."""
        row = self.row
        return {
            "effects": row.effects,
            "scale": row.scale,
            "n_train": row.n_train,
            "n_test": self.n_test,
            "seed": self.seed,
        }


def subsets(row: Row, folder: Path, *, first_seed: int = 0) -> Iterator[Subset]:
    """Draw one random subset after the other, of one seed after the other.

    Args:
        row: What to simulate, and how many perturbations and subsets to draw.
        folder: Keeps data sets; those of other effects have folders of their own.
        first_seed: Of the draws.
    """
    with planted(EFFECTS[row.effects]):
        environment = Environment.load(data_dir=folder / row.effects)
        data = dg.load_dataset(f"sim:k562@{row.scale:g}", environment=environment)
        labels = sorted(p.label for p in data.perturbations if len(p.genes) == 1)
        if row.n_train >= len(labels):
            raise SystemExit(f"{row}: the screen has only {len(labels)} single perturbations")
        for seed in range(first_seed, first_seed + row.n_fits):
            mixed = [labels[at] for at in np.random.default_rng(seed).permutation(len(labels))]
            fold = {"train": mixed[: row.n_train], "val": [], "test": mixed[row.n_train :]}
            with tempfile.TemporaryDirectory() as results:
                manifest = Path(results) / "fold.json"
                manifest.write_text(json.dumps(fold), encoding="utf-8")
                yield Subset(row, seed, len(fold["test"]), data, environment, manifest)


def study(
    given: argparse.Namespace,
    measured: Callable[[Subset], dict[str, object]],
    **described: object,
) -> dict[str, object]:
    """Measure every subset of every row; the file is written anew after each.

    Args:
        given: ``rows`` and ``output``, as the command line has them, and ``first_seed`` of the
            draws, 0 where a study does not ask for it.
        measured: Finds what is noted of a subset.
        described: What else the document says of itself.
    """
    found: list[dict[str, object]] = []
    document: dict[str, object] = {
        "schema_version": 1,
        "simulated": True,
        "simulation_version": SIMULATION_VERSION,
        "metric": METRIC,
        **described,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "fits": found,
    }
    first = getattr(given, "first_seed", 0)
    with tempfile.TemporaryDirectory() as folder:
        for subset in (
            each for row in given.rows for each in subsets(row, Path(folder), first_seed=first)
        ):
            found.append({**subset.document(), **measured(subset)})
            sys.stderr.write(f"{found[-1]}\n")
            given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def by_row(document: Mapping[str, object]) -> Iterator[tuple[Row, list[dict[str, Any]]]]:
    """Yield the rows that a study measured, each with its subsets."""
    found = document["fits"]
    assert isinstance(found, list)
    for row in dict.fromkeys(row_of(fit) for fit in found):
        yield row, [fit for fit in found if row_of(fit) == row]


def reads_and_gains(settings: Sequence[Sequence[int]], gains: Sequence[Sequence[float]]) -> str:
    """Return cells of Markdown: for each rule the share of fits that read facets, and mean gain.

    Args:
        settings: What each fit settled on by each rule, (n_fits, n_rules).
        gains: Its gain on held-out perturbations, of the same shape.
    """
    reads = np.mean(np.array(settings) != REFERENCE, axis=0)
    return "".join(
        f" {read:.2f}, {round(gain, 3) + 0.0:.3f} |"
        for read, gain in zip(reads, np.mean(gains, axis=0), strict=True)
    )


def row_of(fit: Mapping[str, object]) -> Row:
    """Return the row, less the number of fits, that a written fit belongs to."""
    return Row(str(fit["effects"]), float(str(fit["scale"])), int(str(fit["n_train"])), 1)
