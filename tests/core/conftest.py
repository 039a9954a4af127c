"""Result records for tests of what is derived from them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dygenept.results import (
    DatasetRecord,
    MetricRecord,
    RunRecord,
    SplitRecord,
    TimingRecord,
    ValueRecord,
)


@pytest.fixture
def record() -> Callable[..., RunRecord]:
    """Return a maker of records; every argument has a default."""
    return make_record


def make_record(
    *,
    key: str = "0" * 32,
    model: str = "additive",
    fold: int = 0,
    values: tuple[float | None, ...] = (0.25, None),
    simulated: bool = False,
    created: str = "2026-01-01T00:00:00+00:00",
    predictions: str | None = None,
) -> RunRecord:
    return RunRecord(
        key=key,
        model=model,
        base_model=model,
        role="baseline",
        suite="custom",
        dataset=DatasetRecord(
            name="toy", sha256="ab", n_cells=9, n_genes=3, n_perturbations=2, simulated=simulated
        ),
        split=SplitRecord(name="kfold", version=1, seed=42, n_folds=2, sha256="cd"),
        fold=fold,
        seed=42,
        config={},
        de_list="top_non_dropout_de_20",
        de_origin="file",
        subgroups={},
        metrics=(
            MetricRecord(
                name="pearson_delta",
                higher_is_better=True,
                neutral=0.0,
                de_list=None,
                values=tuple(
                    ValueRecord(perturbation=f"g{i}+ctrl", cell_type="K562", value=value)
                    for i, value in enumerate(values)
                ),
            ),
        ),
        timings=TimingRecord(fit_s=0.1, predict_s=0.1, score_s=0.1),
        peak_memory_bytes=1,
        device="cpu",
        versions={},
        plugins=(),
        predictions=predictions,
        created=created,
    )
