"""What do held-out train perturbations say of a way to read facets, and what does it gain on test?

    python benchmarks/learning_curves/facet_evidence.py OUTPUT.json
    python benchmarks/learning_curves/facet_evidence.py OUTPUT.json go85:40:10 none@0.1:97:8

simulates screens and draws subsets as ``facet_choice.py`` does, with rows named alike. Each way of
reading facets is fitted to a subset whatever the rule would choose: texts alone, untuned and after
20 steps of tuning, and the genes' own codes after 20 and 60 steps. The table has, on average over
subsets, the gains over the linear model (the codes, untuned) on held-out parts of train in units of
their standard error, by three criteria: squared error, squared error over the squared size of the
change, and the cosine between predicted and true change; and the gain on all other perturbations.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from planted_subsets import REFERENCE, Subset, by_row, parser_of_rows, study

from dygenept.model.start import facet_tuning
from dygenept.types import DoubleArray
from dygenept_plugins.networks import facets

ROWS = ("go85@0.03:40:10", "go40@0.1:97:8", "none@0.1:97:8", "dealt@0.1:97:8")
# The linear model's codes and texts alone: the two candidates of a fit, in this order.
SHARES = (1.0, 0.0)
CRITERIA = ("squared", "relative", "cosine")


class Reading(NamedTuple):
    """A way of reading facets.

    Attributes:
        name: What the table calls it.
        candidate: Position among ``SHARES``.
        n_steps: Steps of tuning.
    """

    name: str
    candidate: int
    n_steps: int

    @property
    def setting(self) -> int:
        """Its position among all settings."""
        n_lengths = len(facet_tuning.CHECKPOINTS)
        return self.candidate * n_lengths + facet_tuning.CHECKPOINTS.index(self.n_steps)


READINGS = (
    Reading("texts alone, untuned", 1, 0),
    Reading("texts alone, 20 steps", 1, 20),
    Reading("codes alone, 20 steps", 0, 20),
    Reading("codes alone, 60 steps", 0, 60),
)
LINEAR = Reading("linear model", 0, 0)


@dataclass(slots=True)
class Evidence:
    """Stands in for the rule: notes what it is shown, and gives the setting that is wanted."""

    wanted: int = REFERENCE
    errors: DoubleArray = field(default_factory=lambda: np.empty(0))
    cosines: DoubleArray = field(default_factory=lambda: np.empty(0))

    def __call__(
        self, errors: DoubleArray, cosines: DoubleArray, *, level: float
    ) -> tuple[int, int]:
        """Choose; arguments are those of ``best_for_strong_and_weak``."""
        assert errors.shape[1] == len(SHARES) * len(facet_tuning.CHECKPOINTS)
        best = errors.mean(axis=0).argmin(axis=1)  # (n_settings,)
        self.errors, self.cosines = (
            np.take_along_axis(each, best[None, :, None], axis=2)[:, :, 0]
            for each in (errors, cosines)
        )
        return self.wanted, int(best[self.wanted])

    def gains(self, setting: int, sizes: DoubleArray) -> dict[str, float]:
        """Return gains over the linear model in standard errors, by each of ``CRITERIA``.

        Args:
            setting: What is compared with it.
            sizes: Mean squared change of each held-out perturbation, (n_held,).
        """
        squared = self.errors[:, REFERENCE] - self.errors[:, setting]
        cosine = self.cosines[:, setting] - self.cosines[:, REFERENCE]
        of_each = (squared, squared / sizes, cosine)
        return {
            name: float(gain.mean() / (gain.std(ddof=1) / len(gain) ** 0.5))
            for name, gain in zip(CRITERIA, of_each, strict=True)
        }


@dataclass(slots=True)
class Sizes:
    """Notes the mean squared change of each perturbation that is held out, part by part."""

    parts: list[DoubleArray] = field(default_factory=list)

    def of(self, *given: Any) -> facet_tuning.HeldOut:
        """Stand in for ``HeldOut.of``."""
        held = _held_out(*given)
        own, common, both = held.products
        squares = (own + 2 * both + common) / held.n_genes
        self.parts.append(held.rows.mean(squares.double().cpu().numpy()))
        return held

    def of_held_out(self, n_held: int) -> DoubleArray:
        """Return those of the first candidate, (n_held,); the others saw the same parts."""
        sizes = np.concatenate(self.parts)
        assert len(sizes) == len(SHARES) * n_held
        first, second = np.split(sizes, len(SHARES))
        assert np.allclose(first, second)
        return first


_held_out = facet_tuning.HeldOut.of


def measured(subset: Subset) -> dict[str, object]:
    """Fit each way of reading facets.

    Returns:
        The linear model's score, and of each reading the gains by which the rule could judge and
        the gain on test.
    """
    linear, sizes = Evidence(), Sizes()
    with (
        mock.patch.object(facets, "IDENTITY_SHARES", SHARES),
        mock.patch.object(facet_tuning.HeldOut, "of", sizes.of),
    ):
        reference, record = subset.score(linear)
        check(record.chosen, LINEAR)
        of_held_out = sizes.of_held_out(len(linear.errors))
        found = {}
        for reading in READINGS:
            score, record = subset.score(Evidence(wanted=reading.setting))
            check(record.chosen, reading)
            found[reading.name] = {
                **linear.gains(reading.setting, of_held_out),
                "test": score - reference,
            }
    return {"linear_model": reference, "readings": found}


def check(chosen: Mapping[str, object], reading: Reading) -> None:
    """Make sure that a fit reads facets as it was told."""
    made = chosen["identity_share"], chosen["facet_tuning_steps"]
    assert made == (SHARES[reading.candidate], reading.n_steps), (made, reading)


def table(document: Mapping[str, object]) -> str:
    """Return means over subsets as a Markdown table."""
    lines = [
        "| simulated effects, train perturbations | fits | facets are read as | squared | relative "
        "| cosine | gain on test |",
        "|---" * 7 + "|",
    ]
    for row, of_row in by_row(document):
        for reading in READINGS:
            each = [fit["readings"][reading.name] for fit in of_row]
            mean = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
            gains = "".join(f" {round(mean[name], 1) + 0.0:.1f} |" for name in CRITERIA)
            test = f"{round(mean['test'], 3) + 0.0:.3f}"
            lines.append(f"| {row.shown} | {len(each)} | {reading.name} |{gains} {test} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write JSON and print the table."""
    given = parser_of_rows(__doc__, ROWS).parse_args(arguments)
    sys.stdout.write(table(study(given, measured)) + "\n")


if __name__ == "__main__":
    main()
