"""On real cells the model that needs no download beats the mean; skipped without such cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench

pytestmark = pytest.mark.shared_data


@pytest.mark.slow
def test_dygenept_small_beats_the_perturbed_mean_clearly(
    norman_subset: Path, computed: Path, tmp_path: Path
) -> None:
    outcome = run_bench(
        BenchRequest(
            dataset=str(norman_subset),
            models=("dygenept_small", "perturbed_mean"),
            n_folds=2,
            results=tmp_path / "results",
        ),
        Environment.load(data_dir=tmp_path, cache_dir=computed),
    )
    assert not outcome.failures
    rows = {
        row.model: row
        for row in leaderboard_rows(outcome.records)
        if row.metric == "pearson_delta_top20"
    }
    assert rows["dygenept_small"].total.pooled >= 0.55
    assert rows["dygenept_small"].total.pooled > rows["perturbed_mean"].total.pooled + 0.1
