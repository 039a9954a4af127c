"""When does the closed form leave inverse norms in the typical change, and what does that bring?

    OMP_NUM_THREADS=1 python benchmarks/learning_curves/weighing_choice.py
    OMP_NUM_THREADS=1 python benchmarks/learning_curves/weighing_choice.py null:97:20

draws mean changes of perturbations from formulas (``DRAWS``), without cells, and lets the rule of
``dygenept.model.start.typical.Weighing`` choose the typical change of some of them, as does the
rule of ``linear_loo``, which knows the two ends alone. Others of the same kind are then predicted
by what was chosen. A row is named DRAW:TRAIN:REPETITIONS; without rows all of
``docs/benchmarks.md`` are measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dygenept.model.start.readout import LINEAR_EXPONENTS
from dygenept.model.start.typical import EXPONENTS, POOLED, Rows, TypicalChange, Weighing
from dygenept.types import DoubleArray

N_GENES = 300
N_TEST = 400
SIZES = (24, 40, 97, 200)

Draw = Callable[[int, DoubleArray, np.random.Generator], DoubleArray]


def _noise(n: int, rng: np.random.Generator) -> DoubleArray:
    """Vectors of length about 1, (n, N_GENES)."""
    return rng.standard_normal((n, N_GENES)) / N_GENES**0.5


def _alike(n: int, common: DoubleArray, rng: np.random.Generator) -> DoubleArray:
    return common + 0.7 * _noise(n, rng)


def _own_ways(n: int, common: DoubleArray, rng: np.random.Generator) -> DoubleArray:
    sizes = np.exp(rng.standard_normal((n, 1)))
    return 0.5 * common + sizes * _noise(n, rng)


def _one_way(n: int, common: DoubleArray, rng: np.random.Generator) -> DoubleArray:
    sizes = np.exp(0.8 * rng.standard_normal((n, 1)))
    return sizes * (0.6 * common + 0.8 * _noise(n, rng)) + _noise(n, rng)


def _null(n: int, common: DoubleArray, rng: np.random.Generator) -> DoubleArray:
    sizes = np.where(rng.random((n, 1)) < 0.65, 0.1, 2.0) * np.exp(
        0.8 * rng.standard_normal((n, 1))
    )
    return sizes * (0.6 * common + 0.8 * _noise(n, rng)) + _noise(n, rng)


# What a draw is called, what it says in words, and how it is made.
DRAWS: Mapping[str, tuple[str, Draw]] = {
    "alike": ("all are as strong", _alike),
    "own": ("the stronger, the more a way of its own", _own_ways),
    "one": ("weak and strong go one way, with noise", _one_way),
    "null": ("65 % have a twentieth of the effect, with noise", _null),
}
ROWS = tuple(f"{name}:{n}:100" for name in DRAWS for n in SIZES)


def typical(changes: DoubleArray, exponents: Sequence[float]) -> tuple[float, DoubleArray]:
    """Return the chosen exponent and the typical change, (N_GENES,), of changes, (n, N_GENES)."""
    rows = Rows.single(len(changes))
    weighing = Weighing.chosen(changes, rows, exponents)
    change = TypicalChange(changes, np.ones(len(changes)), weighing.divisors, rows)
    return weighing.exponent, change.whole(POOLED)[0]


def scores(predicted: DoubleArray, changes: DoubleArray) -> tuple[float, float]:
    """Return the mean squared length of errors, and the mean cosine, of one prediction for all."""
    lengths = np.linalg.norm(changes, axis=1) * np.linalg.norm(predicted)
    errors = np.square(changes - predicted).sum(axis=1)
    return float(errors.mean()), float((changes @ predicted / lengths).mean())


def measured(name: str, n: int, repetitions: int) -> DoubleArray:
    """Return mean shares and gains over repetitions, (2, 3): of both rules.

    Each has the share of draws that leave inverse norms, the gain over these in squared error (the
    share by which it falls), and the gain in cosine.
    """
    found = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        common = _noise(1, rng)
        train, test = (DRAWS[name][1](size, common, rng) for size in (n, N_TEST))
        _, inverse = typical(train, EXPONENTS[:1])
        error, cosine = scores(inverse, test)
        rules = []
        for exponents in (EXPONENTS, LINEAR_EXPONENTS):
            exponent, chosen = typical(train, exponents)
            of_rule = scores(chosen, test)
            rules.append((exponent < 1, 1 - of_rule[0] / error, of_rule[1] - cosine))
        found.append(rules)
    means: DoubleArray = np.mean(np.array(found, dtype=np.float64), axis=0)
    return means


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("rows", nargs="*", default=ROWS, help="DRAW:TRAIN:REPETITIONS")
    given = parser.parse_args(arguments)
    lines = [
        "| drawn changes, train perturbations | draws | the start: left, error, cosine "
        "| `linear_loo`: left, error, cosine |",
        "|---|---|---|---|",
    ]
    for row in given.rows:
        name, n, repetitions = row.split(":")
        if name not in DRAWS:
            parser.error(f"{row}: no draw {name!r}; known are {', '.join(DRAWS)}")
        cells = (
            f"{left:.2f}, {-100 * error + 0.0:+.1f} %, {cosine + 0.0:+.3f}"
            for left, error, cosine in measured(name, int(n), int(repetitions))
        )
        lines.append(f"| {DRAWS[name][0]}, {n} | {repetitions} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
