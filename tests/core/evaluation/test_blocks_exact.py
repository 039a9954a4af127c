"""Metrics by row in blocks of conditions: each block sees what belongs to its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import BULK, cells_data
from core.evaluation.small_inputs import inputs_of, spec_of

from dygenept.evaluation import blocks
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.scoring import (
    score,
)
from dygenept.plugin.interfaces import Metric
from dygenept.types import (
    MetricInputs,
    MetricValues,
    PredictedCells,
)


def in_blocks(metric: Metric, inputs: MetricInputs) -> MetricValues:
    """Compute one metric in blocks."""
    (found,) = blocks.in_blocks([(spec_of("rows", by_row=True), metric)], inputs)
    return found


@pytest.mark.parametrize("n_conditions", [1, 64, 65, 130])
def test_a_metric_by_row_sees_each_row_once_with_all_that_belongs_to_it(
    n_conditions: int,
) -> None:
    sizes = []

    def metric(seen: MetricInputs) -> MetricValues:
        sizes.append(len(seen.conditions))
        assert seen.de_tests is not None
        assert seen.control_halves is not None
        rows = seen.predicted[:, 0]
        for factor, array in (
            (7, seen.truth),
            (11, seen.control),
            (13, seen.perturbed_mean),
            (17, seen.de_tests.scores_vs_rest),
            (3, seen.control_halves[0]),
            (5, seen.control_halves[1]),
            (23, seen.spread),
        ):
            assert array is not None
            np.testing.assert_array_equal(array[:, 0], rows * factor)
        assert seen.de_indices[:, 0].tolist() == (rows * 20).tolist()
        assert [item.cell_type for item in seen.conditions] == [str(int(row)) for row in rows]
        assert [float(item[0, 0]) for item in seen.single_deltas if item is not None] == (
            rows * 19
        ).tolist()
        assert len(seen.single_deltas) == len(seen.de_tests.is_significant) == len(rows)
        assert seen.gene_symbols == ("G0", "G1")
        values = np.where(rows % 10 == 7, np.nan, rows)
        reasons = {row: f"row {rows[row]:.0f}" for row in np.flatnonzero(np.isnan(values)).tolist()}
        return MetricValues(values, reasons, chance=rows / 2)

    found = in_blocks(metric, inputs_of(n_conditions))
    rows = np.arange(n_conditions, dtype=np.float64)
    np.testing.assert_array_equal(found.values, np.where(rows % 10 == 7, np.nan, rows))
    assert found.reasons == {row: f"row {row}" for row in range(7, n_conditions, 10)}
    assert found.chance is not None
    np.testing.assert_array_equal(found.chance, rows / 2)
    assert sorted(sizes, reverse=True) == [
        min(64, n_conditions - start) for start in range(0, n_conditions, 64)
    ]


def test_a_block_sees_the_cells_of_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 2)
    data = cells_data()
    samples = cell_samples(data, BULK, seed=0)
    inputs = replace(inputs_of(3), cells=samples)

    def metric(seen: MetricInputs) -> MetricValues:
        assert seen.cells is not None
        sums = [seen.cells.real(row).sum() for row in range(len(seen.conditions))]
        return MetricValues(np.asarray(sums, dtype=np.float64))

    found = in_blocks(metric, inputs)
    assert found.values.tolist() == [samples.real(row).sum() for row in range(3)]
    assert len(set(found.values.tolist())) == 3


def test_a_block_sees_the_predicted_cells_of_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 2)
    rows = np.arange(3.0)
    cells = tuple(np.full((2, 2), row, dtype=np.float32) for row in rows)
    predicted = PredictedCells(cells, np.repeat(rows[:, None], 2, axis=1), np.ones((3, 2)))

    def metric(seen: MetricInputs) -> MetricValues:
        assert seen.predicted_cells is not None
        assert len(seen.predicted_cells.cells) == len(seen.conditions)
        np.testing.assert_array_equal(seen.predicted_cells.means, seen.predicted)
        return MetricValues(np.array([of.mean() for of in seen.predicted_cells.cells], np.float64))

    found = in_blocks(metric, replace(inputs_of(3), predicted_cells=predicted))
    assert found.values.tolist() == rows.tolist()


def test_blocks_without_further_evidence_or_chance() -> None:
    def metric(seen: MetricInputs) -> MetricValues:
        assert seen.predicted_cells is None
        assert seen.de_tests is None
        assert seen.control_halves is None
        assert seen.cells is None
        assert seen.spread is None
        return MetricValues(seen.predicted[:, 1])

    found = in_blocks(metric, inputs_of(70, whole=False))
    assert found.values.tolist() == list(range(70))
    assert found.chance is None


def test_a_chance_that_only_some_blocks_have_is_no_chance() -> None:
    def metric(seen: MetricInputs) -> MetricValues:
        rows = seen.predicted[:, 0]
        return MetricValues(rows, chance=rows if rows[0] == 0 else None)

    assert in_blocks(metric, inputs_of(70)).chance is None


def test_what_a_block_returns_that_is_no_result_reaches_the_caller() -> None:
    assert in_blocks(lambda seen: [1.0], inputs_of(70)) == [1.0]  # type: ignore[arg-type,comparison-overlap,return-value]


def test_only_metrics_by_row_are_computed_in_blocks() -> None:
    sizes: list[int] = []

    def metric(seen: MetricInputs) -> MetricValues:
        sizes.append(len(seen.conditions))
        return MetricValues(seen.predicted[:, 0])

    inputs = inputs_of(70)
    assert [item.value for item in score([(spec_of("whole"), metric)], inputs)] == list(range(70))
    assert [item.value for item in score([(spec_of("rows", by_row=True), metric)], inputs)] == list(
        range(70)
    )
    assert sizes[0] == 70
    assert sorted(sizes[1:]) == [6, 64]
