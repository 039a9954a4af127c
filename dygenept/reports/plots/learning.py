"""Learning curves: scores against the number of perturbations that a model was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from dygenept.data.splits import load_split
from dygenept.errors import ResultsError
from dygenept.reports.plots.style import COLOURS, MARKERS, brief, figure, labelled, styled
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """One model at one training size.

    Attributes:
        n_train: Perturbations that it could learn from, validation among them.
        mean: Mean over folds of the fold's mean score.
        std: Standard deviation over folds; None for one fold.
        n_folds: Folds of about that size.
    """

    n_train: int
    mean: float
    std: float | None
    n_folds: int


def learning_curves(
    records: Sequence[RunRecord], store: ResultsStore, metric: str
) -> Mapping[str, tuple[LearningPoint, ...]]:
    """Return scores by model and training size.

    Folds of one split have about the same size and are one point; splits into other numbers of
    folds are others. The held-out perturbations of the points are then not the same.

    Args:
        records: Records of one data set, of several splits.
        store: Their folder, which has the splits' manifests.
        metric: Metric name.

    Raises:
        ResultsError: If fewer than two sizes are there.
        SplitError: If a manifest is missing or damaged.
    """
    splits = {
        sha256: load_split(store.directory / "splits" / f"{sha256}.json")
        for sha256 in {record.split.sha256 for record in records}
    }
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for record in records:
        fold = splits[record.split.sha256].folds[record.fold]
        entry = next((of for of in record.metrics if of.name == metric), None)
        values = [] if entry is None else [of.value for of in entry.values if of.value is not None]
        if values:
            size = len(fold.train) + len(fold.val)
            of_model = found.setdefault(record.model, {})
            of_model.setdefault(record.split.sha256, []).append((size, fmean(values)))
    curves = {
        model: tuple(
            sorted((_point(items) for items in of.values()), key=lambda point: point.n_train)
        )
        for model, of in found.items()
    }
    sizes = {point.n_train for points in curves.values() for point in points}
    if len(sizes) < 2:
        raise ResultsError(
            f"a learning curve of {metric} needs results of several training sizes in one folder; "
            "run the bench with other numbers of --folds, such as 2, 3, 5 and 10"
        )
    return curves


def _point(items: Sequence[tuple[int, float]]) -> LearningPoint:
    values = [value for _, value in items]
    return LearningPoint(
        n_train=round(fmean(size for size, _ in items)),
        mean=fmean(values),
        std=stdev(values) if len(values) > 1 else None,
        n_folds=len(values),
    )


@styled
def plot_learning(
    curves: Mapping[str, Sequence[LearningPoint]],
    metric: str,
    *,
    dataset: str,
    is_simulated: bool,
) -> Figure:
    """Plot learning curves; bars are standard deviations over folds.

    Args:
        curves: Points by model.
        metric: Metric name.
        dataset: The data set's name.
        is_simulated: Whether its cells were made up.
    """
    made, axes = figure(2.8)
    for number, (model, points) in enumerate(curves.items()):
        axes.errorbar(
            [point.n_train for point in points],
            [point.mean for point in points],
            yerr=[point.std or 0.0 for point in points],
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            ls=("-", "--", ":")[number // len(COLOURS) % 3],
            ms=3,
            lw=1.0,
            capsize=2,
            label=brief(model),
        )
    axes.set_xlabel("train perturbations")
    axes.set_ylabel(f"{metric}, mean over folds")
    made.legend(frameon=False, ncols=2, loc="outside lower center")
    return labelled(made, f"{dataset}: learning curves", is_simulated=is_simulated)
