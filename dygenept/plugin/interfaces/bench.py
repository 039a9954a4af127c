"""Plugin kinds that a bench is made of: data sets, splits, models, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from dygenept.types import (
        Condition,
        DoubleArray,
        Fold,
        GroupedPairs,
        MetricInputs,
        MetricValues,
        PerturbationData,
        Predictions,
        Runtime,
        Task,
    )


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """Where a data set's file belongs and whether it is there.

    Attributes:
        path: Where the file is, or belongs; None for a source without a file.
        is_present: True if it can be opened without network.
        detail: Size on disk, or what a fetch would do; for people.
        download_bytes: Bytes that a fetch would transfer, as the publisher says; None where that
            is not known.
    """

    path: Path | None
    is_present: bool
    detail: str
    download_bytes: int | None = None


@runtime_checkable
class DatasetSource(Protocol):
    """Opens one registered data set; the factory's config is its registry entry."""

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say where the data set is, without reading it."""

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Make sure that the file is on disk and return its path.

        Raises:
            DataUnavailableError: If it cannot be fetched; the message says where it belongs.
        """

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Fetch if needed, read and check."""


@runtime_checkable
class Splitter(Protocol):
    """Cuts perturbations into folds: a pure function of (data, n_folds, seed)."""

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds; protocols with one fold ignore ``n_folds``.

        Raises:
            SplitError: If a fold would be empty.
        """


@runtime_checkable
class Model(Protocol):
    """A model of perturbation effects: learns from a task, predicts conditions."""

    def fit(self, task: Task) -> None:
        """Learn from train (and, for closed-form models, validation) conditions."""

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict the pseudobulk of each condition; genes never seen must not fail."""


class Metric(Protocol):
    """A pure function of prediction, truth and reference."""

    def __call__(self, inputs: MetricInputs) -> MetricValues:
        """Return one value per condition."""


class EffectMetric(Protocol):
    """A pure function of measured pairs and their predictions, for a table of effects."""

    def __call__(self, pairs: GroupedPairs) -> DoubleArray:
        """Return one value per row of counts and group, (B, n_groups); NaN where undefined."""
