"""Would another form of the test read facets more often where they help, and not where they do not?

    python benchmarks/learning_curves/facet_forms.py OUTPUT.json --first-seed 1000
    python benchmarks/learning_curves/facet_forms.py OUTPUT.json go85:24:10 none@0.1:24:8

draws subsets as ``facet_choice.py`` does, with rows named alike, and puts the forms of
``rule_forms.py`` to the same held-out scores at the rule's level. Subsets of fewer than 40 train
perturbations are held out in eight parts besides, so that seven eighths remain to tune facets to.
A setting that any form takes is fitted to all train perturbations once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
from planted_subsets import REFERENCE, Subset, by_row, parser_of_rows, reads_and_gains, study
from rule_forms import FORMS, Scores

from dygenept.model.start import facet_tuning
from dygenept.model.start.readout import PENALTIES
from dygenept.types import DoubleArray

ROWS = (
    *("go85@0.03:16:6", "go85@0.03:24:10", "go85@0.03:40:6", "go85@0.06:66:6", "go40:97:8"),
    *("none:12:6", "none:24:8", "none:40:8", "none:97:8"),
    *("dealt:12:6", "dealt:24:8", "dealt:40:8", "dealt:97:8"),
)
FEW_PERTURBATIONS = 40
N_PARTS_OF_FEW = 8


@dataclass(slots=True)
class Kept:
    """Stands in for the rule: keeps what it is shown, and gives the setting that is wanted."""

    wanted: int = REFERENCE
    shown: list[DoubleArray] = field(default_factory=list)

    def __call__(
        self, errors: DoubleArray, cosines: DoubleArray, *, level: float
    ) -> tuple[int, int]:
        """Choose; arguments are those of ``best_for_strong_and_weak``."""
        assert level == facet_tuning.LEVEL
        self.shown = [errors, cosines]
        return self.wanted, int(errors[:, self.wanted].mean(axis=0).argmin())


def measured(subset: Subset) -> dict[str, object]:
    """Fit what each form takes.

    Returns:
        The linear model's score, and by the number of parts and form the setting and its gain; a
        setting is fitted under the penalty that the model's own parts choose.
    """
    kept, in_more = Kept(), {}
    score = facet_tuning._Reading.held_out

    def asked(
        reading: facet_tuning._Reading, at: int, rows: Any, parts: Any, checkpoints: Any
    ) -> DoubleArray:
        if subset.row.n_train < FEW_PERTURBATIONS:
            more = np.array_split(np.concatenate(parts), N_PARTS_OF_FEW)
            in_more[at] = score(reading, at, rows, more, checkpoints)
        return score(reading, at, rows, parts, checkpoints)

    with mock.patch.object(facet_tuning._Reading, "held_out", asked):
        found = {REFERENCE: subset.score(kept)[0]}
    shown = {facet_tuning.N_PARTS: kept.shown}
    if in_more:
        both = np.stack([in_more[at] for at in sorted(in_more)], axis=2)
        shown[N_PARTS_OF_FEW] = list(both.reshape(*both.shape[:2], -1, len(PENALTIES)))
    settings = {}
    for n_parts, (errors, cosines) in shown.items():
        scores = Scores.of(errors, cosines)
        settings[n_parts] = [scores.chosen(form, facet_tuning.LEVEL) for form in FORMS]
    for setting in sorted({each for chosen in settings.values() for each in chosen}):
        if setting not in found:
            found[setting], _ = subset.score(Kept(setting))
    return {
        "linear_model": found[REFERENCE],
        "settings": {str(n_parts): chosen for n_parts, chosen in settings.items()},
        "gains": {
            str(n_parts): [found[setting] - found[REFERENCE] for setting in chosen]
            for n_parts, chosen in settings.items()
        },
    }


def table(document: Mapping[str, object]) -> str:
    """Return shares of fits that read facets and mean gains as a Markdown table."""
    head = "".join(f" {form} |" for form in FORMS)
    lines = [f"| simulated effects, train perturbations | fits | parts |{head}"]
    lines.append("|---" * (len(FORMS) + 3) + "|")
    for row, of_row in by_row(document):
        for n_parts in of_row[0]["settings"]:
            settings, gains = (
                [fit[part][n_parts] for fit in of_row] for part in ("settings", "gains")
            )
            cells = reads_and_gains(settings, gains)
            lines.append(f"| {row.shown} | {len(of_row)} | {n_parts} |{cells}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write JSON and print the table."""
    parser = parser_of_rows(__doc__, ROWS)
    parser.add_argument(
        "--first-seed", type=int, default=0, help="of the draws of subsets; default 0"
    )
    found = study(parser.parse_args(arguments), measured, forms=list(FORMS))
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
