"""The leaderboards of a results folder, chosen by what several commands ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.results.records import RunRecord


def chosen_boards(
    results: Path, *, dataset: str | None, metrics: Sequence[str]
) -> list[tuple[RunRecord, ...]]:
    """Read a results folder and group its records into leaderboards.

    Args:
        results: The folder.
        dataset: Keep this data set alone.
        metrics: Metrics that must be there.

    Raises:
        ResultsError: If the folder holds no result.
        ConfigError: If the data set or a metric has none; the nearest name is given.
    """
    from dygenept.errors import ConfigError, ResultsError, nearest
    from dygenept.leaderboard.rows import group_records
    from dygenept.results.records import ResultsStore

    records = list(ResultsStore(results).records())
    if not records:
        raise ResultsError(f"{results} holds no result yet; run `dygenept bench` first")
    datasets = {record.dataset.name for record in records}
    if dataset is not None and dataset not in datasets:
        raise ConfigError(f"no result for data set {dataset!r}; {nearest(dataset, datasets)}")
    present = {entry.name for record in records for entry in record.metrics}
    for metric in metrics:
        if metric not in present:
            raise ConfigError(f"unknown metric {metric!r}; {nearest(metric, present)}")
    return [
        members for key, members in group_records(records).items() if dataset in (None, key.dataset)
    ]
