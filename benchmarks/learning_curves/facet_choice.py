"""How often does the closed form read facets, and what does it gain by them?

    python benchmarks/learning_curves/facet_choice.py OUTPUT.json --levels 0.2 0.05 0.01
    python benchmarks/learning_curves/facet_choice.py OUTPUT.json go85:40:10 none@0.1:97:16

simulates screens whose effects follow GO texts to a stated part, draws random subsets of their
single perturbations as train, fits the closed form of ``dygenept_small`` and scores the others. A
row is named EFFECTS[@SCALE]:TRAIN:FITS, with effects as ``planted_subsets.py`` names them; without
rows all of ``docs/benchmarks.md`` are measured.

The rule takes facets up where both gains over the linear model, the genes' own codes alone, pass a
test of all settings together on train perturbations that are held out. Every level is put to the
same held-out scores; what it chooses is then fitted to all train perturbations, each choice that
differs once. A fit that reads no facets is the linear model, and gains nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planted_subsets import REFERENCE, Subset, by_row, parser_of_rows, reads_and_gains, study

from dygenept.model.start import facet_tuning
from dygenept.model.start.beyond_chance import best_for_strong_and_weak
from dygenept.types import DoubleArray

ROWS = (
    *("go85@0.03:24:10", "go85@0.03:40:10", "go85@0.06:66:6", "go40:40:8", "go40:97:8"),
    *("shipped@0.1:97:8", "shipped@0.2:60:6", "shipped@0.2:174:6"),
    *("none:24:20", "none:40:16", "none:97:16", "dealt:24:20", "dealt:40:12", "dealt:97:12"),
)


@dataclass(slots=True)
class Rule:
    """Stands in for the rule: notes what each level would choose, and gives what is wanted."""

    levels: Sequence[float]
    wanted: int = REFERENCE
    choices: tuple[int, ...] = ()

    def __call__(
        self, errors: DoubleArray, cosines: DoubleArray, *, level: float
    ) -> tuple[int, int]:
        """Choose; arguments are those of ``best_for_strong_and_weak``."""
        assert level == facet_tuning.LEVEL
        self.choices = tuple(
            best_for_strong_and_weak(errors, cosines, level=each)[0] for each in self.levels
        )
        return self.wanted, int(errors[:, self.wanted].mean(axis=0).argmin())


def measured(subset: Subset, levels: Sequence[float]) -> dict[str, object]:
    """Fit what each level chooses.

    Args:
        subset: What to fit to.
        levels: Of the test that both gains must pass.

    Returns:
        The linear model's score, and of each level the chosen setting (0 for the linear model)
        and the gain over the linear model.
    """
    rule = Rule(levels)
    scores = {REFERENCE: subset.score(rule)[0]}
    for setting in sorted({*rule.choices} - {REFERENCE}):
        again = Rule(levels, wanted=setting)
        scores[setting], _ = subset.score(again)
        assert again.choices == rule.choices
    return {
        "linear_model": scores[REFERENCE],
        "settings": list(rule.choices),
        "gains": [scores[setting] - scores[REFERENCE] for setting in rule.choices],
    }


def table(document: Mapping[str, object]) -> str:
    """Return shares of fits that read facets and mean gains as a Markdown table."""
    levels = document["levels"]
    assert isinstance(levels, list)
    head = "".join(f" at {level:g} |" for level in levels)
    lines = [f"| simulated effects, train perturbations | fits |{head}"]
    lines.append("|---" * (len(levels) + 2) + "|")
    for row, of_row in by_row(document):
        settings, gains = ([fit[part] for fit in of_row] for part in ("settings", "gains"))
        cells = reads_and_gains(settings, gains)
        lines.append(f"| {row.shown} | {len(of_row)} |{cells}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write JSON and print the table."""
    parser = parser_of_rows(__doc__, ROWS)
    parser.add_argument(
        "--levels",
        type=float,
        nargs="+",
        default=(facet_tuning.LEVEL,),
        help="of the test that both gains must pass; that of the rule by default",
    )
    given = parser.parse_args(arguments)
    levels = list(given.levels)
    found = study(given, lambda subset: measured(subset, levels), levels=levels)
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
