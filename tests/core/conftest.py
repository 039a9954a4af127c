"""Result records for tests of what is derived from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import pytest

from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.records import MetricRecord, RunRecord, TimingRecord, ValueRecord


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
    role: Literal["model", "baseline", "ceiling", "floor", "submitted"] = "baseline",
    metric: str = "pearson_delta",
    higher_is_better: bool = True,
    neutral: float | None = 0.0,
    seed: int = 42,
    dataset: str = "toy",
    cell_types: tuple[str, ...] | None = None,
    family: tuple[str, ...] = (),
    subgroups: Mapping[str, tuple[str, ...]] | None = None,
    effects: Mapping[str, Mapping[str, float]] | None = None,
) -> RunRecord:
    types = cell_types or ("K562",) * len(values)
    return RunRecord(
        key=key,
        model=model,
        base_model=model,
        role=role,
        suite="custom",
        family=family,
        dataset=DatasetRecord(
            name=dataset, sha256="ab", n_cells=9, n_genes=3, n_perturbations=2, simulated=simulated
        ),
        split=SplitRecord(name="kfold", version=1, seed=seed, n_folds=2, sha256=f"cd{seed}"),
        fold=fold,
        seed=seed,
        config={},
        de_list="top_non_dropout_de_20",
        de_origin="file",
        subgroups=subgroups or {},
        effects=effects or {},
        metrics=(
            MetricRecord(
                name=metric,
                higher_is_better=higher_is_better,
                neutral=neutral,
                de_list=None,
                values=tuple(
                    ValueRecord(perturbation=f"g{i}+ctrl", cell_type=cell_type, value=value)
                    for i, (value, cell_type) in enumerate(zip(values, types, strict=True))
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
