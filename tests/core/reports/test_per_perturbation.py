from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import ConfigError
from dygenept.reports.changes import top_changes
from dygenept.reports.per_perturbation import score_table, show_perturbation
from dygenept.reports.scores import BoardScores
from dygenept.results.provenance import DatasetRecord
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.results.top_changes import top_path
from dygenept.results.truth import keep_truth
from dygenept.testing.toy import toy_data
from dygenept.types import Predictions


def test_every_score_is_a_row_with_what_tells_boards_apart(
    board_records: list[RunRecord],
) -> None:
    table = score_table(board_records, with_origin=True)
    assert len(table) == 5 * 10
    assert table.columns[:3] == ["dataset", "dataset_sha256", "simulated"]
    row = table.filter(model="ridge", perturbation="g2+ctrl").to_dicts()[0]
    assert (row["value"], row["fold"], row["role"]) == (pytest.approx(0.52), 1, "baseline")
    assert table["value"].null_count() == 5
    assert len(score_table(board_records, metrics=("mse",))) == 0


def test_a_model_is_shown_beside_its_rivals(board_records: list[RunRecord], tmp_path: Path) -> None:
    (shown,) = show_perturbation(board_records, "mine", "g2", store=ResultsStore(tmp_path))
    (score,) = shown.scores
    assert (score.value, score.rank, score.n_models) == (pytest.approx(0.47), 2, 4)
    assert (score.reference_model, score.reference) == ("perturbed_mean", pytest.approx(0.12))
    assert score.ceiling == pytest.approx(0.92)
    assert shown.effect == pytest.approx(0.3)
    assert "does not keep what was measured" in shown.missing
    (undefined,) = show_perturbation(board_records, "mine", "g9", store=ResultsStore(tmp_path))
    assert undefined.scores[0].value is None
    assert undefined.scores[0].rank is None


@pytest.mark.parametrize(
    ("model", "perturbation", "cell_type", "message"),
    [
        ("rigde", "g1", None, "did you mean 'ridge'"),
        ("ridge", "g1x", None, "no held-out perturbation 'g1x'"),
        ("ridge", "g1", "RPE1", "is not in cell type 'RPE1'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    board_records: list[RunRecord],
    tmp_path: Path,
    model: str,
    perturbation: str,
    cell_type: str | None,
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        show_perturbation(
            board_records, model, perturbation, store=ResultsStore(tmp_path), cell_type=cell_type
        )


def test_kept_predictions_give_the_changes_of_the_top_genes(
    board_records: list[RunRecord], tmp_path: Path
) -> None:
    data, store = toy_data(), ResultsStore(tmp_path)
    means, de = pseudobulk(data), de_genes(data)
    keep_truth(store, data, means, de)
    conditions = data.conditions[:3]
    expression = means.means[:3] + 0.25
    relative = store.write_predictions("k", Predictions(conditions, expression), data.gene_ids)
    metric = board_records[0].metrics[0]
    values = tuple(
        replace(metric.values[0], perturbation=of.label, cell_type=of.cell_type, value=0.5)
        for of in conditions
    )
    record = board_records[1].model_copy(
        update={
            "dataset": DatasetRecord.of(data),
            "predictions": relative,
            "metrics": (metric.model_copy(update={"values": values}),),
        }
    )
    first = conditions[0]
    (shown,) = show_perturbation(
        [record], "ridge", first.label, store=store, cell_type=first.cell_type
    )
    top = [gene for gene in de.indices[0].tolist() if gene >= 0]
    assert [of.gene for of in shown.genes] == [data.gene_symbols[gene] for gene in top]
    for of in shown.genes:
        assert of.predicted - of.measured == pytest.approx(0.25, abs=1e-5)
    scores = BoardScores.of([record])
    found = top_changes(store, [record], scores.units)
    assert not isinstance(found, str)
    error = found.predicted["ridge"] - found.true
    assert np.nanmax(np.abs(error - 0.25)) < 1e-5
    assert np.isfinite(error).sum() == (found.genes >= 0).sum()
    # The page that was made first leaves what the next one reads, which shows the same.
    assert top_path(tmp_path / relative).is_file()
    again = top_changes(store, [record], scores.units)
    assert not isinstance(again, str)
    np.testing.assert_array_equal(again.predicted["ridge"], found.predicted["ridge"])
