"""How often does each form of the test read facets whose gains are drawn, and 0 on average?

    python benchmarks/learning_curves/false_reads.py --draws 500

draws gains of two candidates under six numbers of steps and ten penalties over a reference: walks
along the steps, alike under all penalties but shrunk by them, in squared errors and in cosines,
which correlate. Gains are symmetric, or skewed such that a few perturbations lose much and most
gain a little; squared errors may be scaled by strengths of perturbations besides, whose logarithms
are normal. The share of draws in which a form of ``rule_forms.py`` leaves the reference at the 5 %
level is what it reads by chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rule_forms import FORMS, Scores

from dygenept.model.start import facet_tuning
from dygenept.types import DoubleArray

SIZES = (8, 12, 24, 97)
# What a penalty, from the smallest to the largest, leaves of a candidate's gain.
KEPT = np.array([1, 1, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2, 0.03, 0.003])
N_STEPS = len(facet_tuning.CHECKPOINTS)


@dataclass(frozen=True, slots=True)
class Gains:
    """What is drawn.

    Attributes:
        name: What the table calls it.
        skew: Spread of the logarithm of a perturbation's loss in squared error; 0 is symmetric.
        cosine_skew: The same of what cosines have of their own.
        has_strengths: Whether perturbations differ in strength.
    """

    name: str
    skew: float = 0.0
    cosine_skew: float = 0.0
    has_strengths: bool = False


KINDS = (
    Gains("symmetric"),
    Gains("symmetric, strong and weak", has_strengths=True),
    Gains("few large losses in error", skew=0.5),
    Gains("few large losses in both", skew=0.5, cosine_skew=0.5),
    Gains("fewer and larger losses in both", skew=0.8, cosine_skew=0.8),
)


def drawn(kind: Gains, n: int, rng: np.random.Generator) -> tuple[DoubleArray, DoubleArray]:
    """Draw squared errors and cosines of the settings, (n, n_settings, n_penalties)."""
    strengths = np.exp(rng.standard_normal(n)) if kind.has_strengths else np.ones(n)
    of_error = _gains(n, kind.skew, rng)
    of_cosine = 0.6 * _gains(n, kind.cosine_skew, rng) + 0.8 * of_error
    # The reference is next to the same under all penalties.
    of_error[:, 0], of_cosine[:, 0] = 0.05 * rng.standard_normal((2, n, len(KEPT)))
    scale = strengths[:, None, None]
    return scale * (10.0 - of_error), 0.3 + 0.05 * of_cosine


def _gains(n: int, skew: float, rng: np.random.Generator) -> DoubleArray:
    """Draw gains with mean 0 and, before penalties shrink them, a spread of 1."""
    walks = rng.standard_normal((n, 2, N_STEPS)).cumsum(axis=2) / np.arange(1, N_STEPS + 1) ** 0.5
    of_settings = 0.6 * rng.standard_normal((n, 1)) + 0.8 * walks.reshape(n, -1)
    own = rng.standard_normal((n, 2 * N_STEPS, len(KEPT)))
    normal = 0.95 * of_settings[:, :, None] + (1 - 0.95**2) ** 0.5 * own
    if skew:
        spread = (np.exp(skew**2) * (np.exp(skew**2) - 1)) ** 0.5
        normal = (np.exp(skew**2 / 2) - np.exp(-skew * normal)) / spread
    gains: DoubleArray = normal * KEPT
    return gains


def read_by_chance(kind: Gains, n: int, n_draws: int) -> DoubleArray:
    """Return the share of draws in which each of ``FORMS`` leaves the reference."""
    rng, taken = np.random.default_rng([n, KINDS.index(kind)]), np.zeros(len(FORMS))
    for _ in range(n_draws):
        scores = Scores.of(*drawn(kind, n, rng))
        taken += [scores.chosen(form, facet_tuning.LEVEL) != 0 for form in FORMS]
    return taken / n_draws


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=500, help="of each line; default 500")
    given = parser.parse_args(arguments)
    sys.stdout.write("| drawn gains, perturbations |" + "".join(f" {each} |" for each in FORMS))
    sys.stdout.write("\n" + "|---" * (1 + len(FORMS)) + "|\n")
    for kind in KINDS:
        for n in SIZES:
            shares = read_by_chance(kind, n, given.draws)
            cells = "".join(f" {share:.3f} |" for share in shares)
            sys.stdout.write(f"| {kind.name}, {n} |{cells}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
