"""How often do the intervals and marks of a board hold? A simulation, seeded; minutes on two cores.

    python benchmarks/inference/study.py FOLDER

writes ``inference.json``, its tables as ``inference.md`` and four charts. What is simulated
resembles metrics: correlations (bounded, skewed to the left) and errors (log-normal, skewed to the
right), one value per perturbation, or one per perturbation and cell type, or one per perturbation,
each in one of several cell types. ``docs/inference.md`` explains the result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from charts import charts

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import ALPHA, gap_closed, holm, paired_intervals
from dygenept.evaluation.confidence_set import best_p_values
from dygenept.evaluation.mean_intervals import MeanIntervals, mean_intervals
from dygenept.evaluation.sign_flip import sign_flip_p_values

Array = npt.NDArray[np.float64]
Row = dict[str, str | int | float]

N_PERTURBATIONS = (9, 15, 33, 100)
N_CELL_TYPES = 3
SMALL = (1, 2, 3, 5, 6, 9, 15, 33, 100)
REPEATS = 10_000
BOARDS = 400
GAP_BOARDS = 500
N_DRAWS = 999
LARGE = 400_000

# From a standard normal number to a metric's value.
KINDS: dict[str, Callable[[Array], Array]] = {
    "normal": lambda z: z,
    "correlation": lambda z: np.tanh(0.8 + 0.6 * z),
    "error": lambda z: np.exp(0.5 * z),
    "error, long tail": lambda z: np.exp(0.8 * z),
}
# Shares of variance: perturbation, cell type, rest.
SHARES = {"few differences": (0.6, 0.0, 0.4), "some": (0.6, 0.05, 0.35), "many": (0.4, 0.3, 0.3)}
# Cell types, and whether each has all perturbations or its own.
FURTHER = ((2, True), (2, False), (3, False))


def main(folder: Path) -> None:
    """Run all parts and write them."""
    parts = {
        "coverage of 95 % intervals, independent perturbations": list(independent_coverage()),
        f"coverage of 95 % intervals, {N_CELL_TYPES} cell types": list(clustered_coverage()),
        "false claims to beat the reference": list(false_claims()),
        f"false claims to beat the reference, {N_CELL_TYPES} cell types": list(clustered_claims()),
        "the best model left out of the confidence set": list(left_out()),
        "claims to beat the reference by effect size": list(power()),
        "coverage of 95 % intervals, fewer cell types, or others in each": list(few_types()),
        "false claims to beat the reference, fewer cell types, or others in each": list(
            few_types_claims()
        ),
        "the best model left out of the confidence set, several cell types": list(
            left_out_in_types()
        ),
        "errors of interval and test, and how often they are at odds": list(at_odds()),
        "coverage of 95 % intervals of the gap closed": list(gap_coverage()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inference.json").write_text(json.dumps(parts, indent=1) + "\n")
    tables = (f"**{name}**\n\n{_table(rows)}\n" for name, rows in parts.items())
    (folder / "inference.md").write_text("\n".join(tables))
    draw(folder)


def draw(folder: Path) -> None:
    """Draw the charts of what a run wrote."""
    parts = json.loads((folder / "inference.json").read_text())
    for name, chart in charts(parts, N_PERTURBATIONS, SMALL).items():
        (folder / f"{name}.svg").write_text(chart.svg())


def independent_coverage() -> Iterator[Row]:
    """One value per perturbation."""
    for kind, of in KINDS.items():
        row: Row = {"values": kind}
        for n in N_PERTURBATIONS:
            rng = _rng(1, n)
            values = of(rng.normal(size=(n, REPEATS)))
            truth = _truth(of)
            row[f"n = {n}"] = _covers(_intervals(values, Clusters.independent(n)), truth)
            row[f"percentile, n = {n}"] = _covers(_percentile(values), truth)
        yield row


def clustered_coverage() -> Iterator[Row]:
    """One value per perturbation and cell type."""
    for kind, of in KINDS.items():
        for amount, shares in SHARES.items():
            row: Row = {"values": kind, "differences of cell types": amount}
            for n in N_PERTURBATIONS:
                values, clusters = _crossed(n, shares, of)
                row[f"n = {n}"] = _covers(_intervals(values, clusters), _truth(of))
                row[f"as if independent, n = {n}"] = _covers(_percentile(values), _truth(of))
            yield row


def _differences() -> dict[str, Callable[[np.random.Generator, int], Array]]:
    """Ways in which two models of the same mean differ; more is better for the first."""
    tail = np.exp(0.5 * 0.8**2)

    def errors(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        shared = 0.8 * rng.normal(size=(n, REPEATS))
        first, second = (shared + 0.6 * rng.normal(size=(n, REPEATS)) for _ in range(2))
        return np.exp(0.8 * first), np.exp(0.8 * second)

    def spread(rng: np.random.Generator, n: int) -> Array:
        first, second = errors(rng, n)
        return (second - tail) - 1.2 * (first - tail)

    return {
        "normal": lambda rng, n: rng.normal(size=(n, REPEATS)),
        "errors of two models": lambda rng, n: np.subtract(*errors(rng, n)),
        "errors of a less steady model": spread,
        "rare large losses": lambda rng, n: 1.0 - rng.exponential(size=(n, REPEATS)),
        "rare large gains": lambda rng, n: rng.exponential(size=(n, REPEATS)) - 1.0,
    }


def false_claims() -> Iterator[Row]:
    """Shares of boards on which a model that is no better is said to be."""
    for kind, draw in _differences().items():
        row: Row = {"differences": kind}
        for n in SMALL:
            values = draw(_rng(2, n), n)
            row[f"n = {n}"] = _claims(values, Clusters.independent(n))
            row[f"percentile, n = {n}"] = _share(_percentile(values)[0] > 0)
        yield row


def clustered_claims() -> Iterator[Row]:
    """The same where perturbations come in several cell types."""
    for kind in ("normal", "error"):
        of = KINDS[kind]
        for amount, shares in SHARES.items():
            row: Row = {"differences": kind, "differences of cell types": amount}
            for n in N_PERTURBATIONS:
                values, clusters = _crossed(n, shares, of)
                row[f"n = {n}"] = _claims(_truth(of) - values, clusters)
            yield row


def few_types() -> Iterator[Row]:
    """Coverage in two cell types, and where no two cell types share a perturbation."""
    for n_types, is_crossed in FURTHER:
        for kind, of in KINDS.items():
            for amount, shares in SHARES.items():
                row: Row = {**_design(n_types, is_crossed=is_crossed), "values": kind}
                row["differences of cell types"] = amount
                for n in N_PERTURBATIONS:
                    values, clusters = _crossed(n, shares, of, n_types, is_crossed=is_crossed)
                    row[f"n = {n}"] = _covers(_intervals(values, clusters), _truth(of))
                yield row


def few_types_claims() -> Iterator[Row]:
    """False claims in the same."""
    for n_types, is_crossed in FURTHER:
        for kind in ("normal", "error"):
            of = KINDS[kind]
            for amount, shares in SHARES.items():
                row: Row = {**_design(n_types, is_crossed=is_crossed), "differences": kind}
                row["differences of cell types"] = amount
                for n in N_PERTURBATIONS:
                    values, clusters = _crossed(n, shares, of, n_types, is_crossed=is_crossed)
                    row[f"n = {n}"] = _claims(_truth(of) - values, clusters)
                yield row


def _pairs() -> dict[str, Callable[[Array, Array, Array], Array]]:
    """From three standard normal numbers to a difference whose mean is 0."""
    from scipy.special import ndtr, ndtri

    def errors(first: Array, second: Array, shared: Array) -> Array:
        return np.exp(0.8 * (0.8 * shared + 0.6 * first)) - np.exp(
            0.8 * (0.8 * shared + 0.6 * second)
        )

    def in_one_of_four(values: Array, other: Array) -> Array:
        return np.where(other < ndtri(0.25), values, 0.0)

    return {
        "normal": lambda first, second, shared: first,
        "errors of two models": errors,
        "normal, three of four are 0": lambda first, second, shared: in_one_of_four(first, second),
        "rare large losses, three of four are 0": lambda first, second, shared: in_one_of_four(
            1.0 + np.log(ndtr(first)), second
        ),
    }


def at_odds() -> Iterator[Row]:
    """How often the interval, the sign-flip test and both find a difference where there is none."""
    designs = [(1, "–", (1.0, 0.0, 0.0))]
    designs += [(n_types, *of) for n_types in (2, 3) for of in SHARES.items()]
    for n_types, amount, shares in designs:
        for kind, of in list(_pairs().items())[: None if n_types == 1 else 2]:
            row: Row = {"cell types": n_types, "differences": kind}
            row["differences of cell types"] = amount
            for n in N_PERTURBATIONS[:3]:
                drawn = [
                    _crossed(n, shares, KINDS["normal"], n_types, part=part) for part in (5, 7, 8)
                ]
                values, clusters = of(*(values for values, _ in drawn)), drawn[0][1]
                found = paired_intervals(values, np.zeros(len(values)), clusters)
                flipped = sign_flip_p_values(clusters.by_perturbation(values))
                leaves_out = (found.low > 0) | (found.high < 0)
                is_small = found.p_values < ALPHA
                row[f"n = {n}, interval"] = _share(leaves_out)
                row[f"n = {n}, sign flips"] = _share(flipped < ALPHA)
                row[f"n = {n}, p"] = _share(is_small)
                row[f"n = {n}, claims"] = _share(is_small & (found.means > 0))
                row[f"n = {n}, at odds"] = _share(leaves_out & ~is_small)
            yield row


def gap_coverage() -> Iterator[Row]:
    """Coverage of the gap closed where a gap is shown, and how often it is at odds with p."""
    for share in (0.0, 0.05, 0.3):
        for noise in (0.5, 1.0):
            row: Row = {"share closed": share, "noise, in gaps": noise}
            for n in N_PERTURBATIONS[:3]:
                rng, shown, covered, odds = _rng(9, n), 0, 0, 0
                clusters = Clusters.independent(n)
                for _ in range(GAP_BOARDS):
                    # The gap of each perturbation, and what each of three models errs by itself.
                    gaps = rng.gamma(2.0, 0.5, size=n)
                    own = noise * rng.normal(size=(3, n))
                    reference, ceiling, score = own[0], gaps + own[1], share * gaps + own[2]
                    found = gap_closed(score[:, None], reference, ceiling, clusters)
                    if found.reason is None:
                        shown += 1
                        covered += bool(found.low[0] <= share <= found.high[0])
                        lead = paired_intervals(score[:, None], reference, clusters)
                        is_ahead = bool(lead.means[0] > 0 and lead.p_values[0] < ALPHA)
                        odds += bool(found.low[0] > 0) != is_ahead
                row[f"n = {n}"] = round(covered / max(shown, 1), 4)
                row[f"shown, n = {n}"] = round(shown / (GAP_BOARDS), 4)
                row[f"at odds with p, n = {n}"] = round(odds / max(shown, 1), 4)
            yield row


def left_out() -> Iterator[Row]:
    """Boards of models of which several are equally good; every one of these should be in."""
    for name, n_equal, n_worse in (("6 alike", 6, 0), ("20 alike", 20, 0), ("2 of 20", 2, 18)):
        for kind in ("normal", "error"):
            row: Row = {"models": name, "values": kind}
            for n in N_PERTURBATIONS:
                rng, wrong, kept = _rng(3, n), 0, 0
                for _ in range(BOARDS):
                    z = 0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(
                        size=(n, n_equal + n_worse)
                    )
                    scores = z if kind == "normal" else -np.exp(0.5 * z)
                    scores[:, n_equal:] -= 1.0
                    p_values = best_p_values(scores, Clusters.independent(n), n_draws=N_DRAWS)
                    wrong += bool(p_values[0] < ALPHA)
                    kept += int((p_values[n_equal:] >= ALPHA).sum())
                row[f"n = {n}"] = wrong / BOARDS
                row[f"worse ones kept, n = {n}"] = kept / (BOARDS * n_worse) if n_worse else 0.0
            yield row


def left_out_in_types() -> Iterator[Row]:
    """The same for six models that are equally good, whose cell types differ much."""
    perturbation, cell_type, rest = (share**0.5 for share in SHARES["many"])
    for n_types, is_crossed in ((N_CELL_TYPES, True), *FURTHER):
        row: Row = _design(n_types, is_crossed=is_crossed)
        for n in N_PERTURBATIONS:
            rng, wrong = _rng(10, n), 0
            kept, clusters = _laid_out(n, n_types, is_crossed=is_crossed)
            for _ in range(BOARDS):
                z = (
                    perturbation * rng.normal(size=(n, 1, 6))
                    + cell_type * rng.normal(size=(1, n_types, 6))
                    + rest * rng.normal(size=(n, n_types, 6))
                )
                scores = z.reshape(n * n_types, 6)[kept]
                p_values = best_p_values(scores, clusters, n_draws=N_DRAWS)
                wrong += bool(p_values[0] < ALPHA)
            row[f"n = {n}"] = wrong / BOARDS
        yield row


def power() -> Iterator[Row]:
    """Shares of boards on which a better model is shown to be, alone and among ten."""
    for effect in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5):
        row: Row = {"mean difference, in standard deviations": effect}
        for n in (6, *N_PERTURBATIONS):
            values = _rng(4, n).normal(effect, 1.0, size=(n, REPEATS))
            clusters = Clusters.independent(n)
            found = paired_intervals(values, np.zeros(n), clusters, n_models=10)
            is_better = found.means > 0
            row[f"n = {n}"] = _share(is_better & (found.p_values < ALPHA))
            # Nine others of a family that are no better.
            corrected = np.asarray([holm((p, *(0.5,) * 9))[0] for p in found.p_values])
            row[f"one of ten, n = {n}"] = _share(is_better & (corrected < ALPHA))
        yield row


def _design(n_types: int, *, is_crossed: bool) -> Row:
    return {"cell types": n_types, "perturbations": "all in each" if is_crossed else "own in each"}


def _crossed(
    n: int,
    shares: tuple[float, float, float],
    of: Callable[[Array], Array],
    n_types: int = N_CELL_TYPES,
    *,
    is_crossed: bool = True,
    part: int = 5,
) -> tuple[Array, Clusters]:
    """Draw values of n perturbations, in all cell types or each in one of them in turn."""
    rng = _rng(part, n)
    perturbation, cell_type, rest = (share**0.5 for share in shares)
    z = (
        perturbation * rng.normal(size=(n, 1, REPEATS))
        + cell_type * rng.normal(size=(1, n_types, REPEATS))
        + rest * rng.normal(size=(n, n_types, REPEATS))
    )
    kept, clusters = _laid_out(n, n_types, is_crossed=is_crossed)
    return of(z).reshape(n * n_types, REPEATS)[kept], clusters


def _laid_out(n: int, n_types: int, *, is_crossed: bool) -> tuple[list[bool], Clusters]:
    """Return which pairs of perturbation and cell type there are, and what these belong to."""
    rows = [(number, kind) for number in range(n) for kind in range(n_types)]
    kept = [is_crossed or number % n_types == kind for number, kind in rows]
    names = [of_row for of_row, is_kept in zip(rows, kept, strict=True) if is_kept]
    return kept, Clusters.of(
        [f"p{number:03}" for number, _ in names], [f"c{kind}" for _, kind in names]
    )


def _intervals(values: Array, clusters: Clusters) -> tuple[Array, Array]:
    found: MeanIntervals = mean_intervals(values, clusters, n_draws=N_DRAWS)
    return found.low, found.high


def _claims(values: Array, clusters: Clusters) -> float:
    found = paired_intervals(values, np.zeros(len(values)), clusters)
    return _share((found.means > 0) & (found.p_values < ALPHA))


def _percentile(values: Array) -> tuple[Array, Array]:
    """Return the usual bootstrap interval, for comparison."""
    n = len(values)
    counts = _rng(6, n).multinomial(n, [1 / n] * n, size=N_DRAWS)
    low, high = np.quantile(counts @ values / n, [0.025, 0.975], axis=0)
    return low, high


def _truth(of: Callable[[Array], Array]) -> float:
    # Quantiles of the normal distribution in place of draws.
    from scipy.special import ndtri

    return float(of(ndtri((np.arange(LARGE) + 0.5) / LARGE)).mean())


def _covers(interval: tuple[Array, Array], truth: float) -> float:
    return _share((interval[0] <= truth) & (truth <= interval[1]))


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return round(float(flags.mean()), 4)


def _rng(part: int, n: int) -> np.random.Generator:
    return np.random.default_rng([13, part, n])


def _table(rows: list[Row]) -> str:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        lines.append("| " + " | ".join(_cell(row[name]) for name in names) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: str | int | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    # With --draw, the charts of a run that was kept are drawn anew.
    (draw if "--draw" in sys.argv else main)(Path(sys.argv[1]))
