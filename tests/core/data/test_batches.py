"""Controls matched by batch, against values worked by hand and against cells made dense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from welch import de_scores

from dygenept.data import batches as matching
from dygenept.data.de.lists import de_genes
from dygenept.data.de.rank_sum import rank_sum_p_values
from dygenept.data.de.tests import de_tests, scores_vs_rest
from dygenept.data.memory import CellsSize
from dygenept.data.opening import open_data
from dygenept.data.pseudobulk import half_means, pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.outline import outline_file
from dygenept.data.request import DataRequest
from dygenept.errors import DataError
from dygenept.plugin.environment import Environment
from dygenept.runs import plan_costs as costs
from dygenept.types import DataMapping, PerturbationData, no_report
from dygenept.types.mapping import as_flags

GENES = ("KLF1", "GATA1", "SPI1", "STAT1")


def write(
    path: Path, values: np.ndarray, labels: list[str], batch: list[str | None], **obs: list[str]
) -> Path:
    frame = pd.DataFrame(
        {
            "condition": pd.Categorical(labels),
            "batch": pd.Categorical(batch),
            **{name: pd.Categorical(column) for name, column in obs.items()},
        },
        index=[f"c{number}" for number in range(len(labels))],
    )
    var = pd.DataFrame(index=list(GENES[: values.shape[1]]))
    anndata.AnnData(sparse.csr_matrix(values.astype(np.float32)), obs=frame, var=var).write_h5ad(
        path
    )
    return path


def read(path: Path, *, match: bool | None = None) -> PerturbationData:
    return read_anndata(path, mapping=DataMapping(batch_column="batch", match_batches=match))


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two batches; batch b lies 2 above batch a, and KLF1 knocked down lowers its gene by 1."""
    monkeypatch.setattr(matching, "MIN_CONTROLS", 2)
    values = np.array(
        [
            *([1.0, 0.5], [3.0, 0.5]),  # controls of a: mean 2
            *([3.5, 0.5], [4.5, 0.5]),  # controls of b: mean 4
            *([1.0, 0.5], [2.5, 0.5], [3.5, 0.5]),  # KLF1: one cell in a, two in b
            *([2.25, 0.5],),  # GATA1: one cell in a
        ]
    )
    labels = ["ctrl"] * 4 + ["KLF1"] * 3 + ["GATA1"]
    return write(tmp_path / "two.h5ad", values, labels, list("aabb") + list("abb") + ["a"])


def test_changes_are_measured_from_the_controls_of_the_same_batches(by_hand: Path) -> None:
    data = read(by_hand)
    means = pseudobulk(data)
    # All controls have the mean 3. KLF1's cells lie at (1 - 2), (2.5 - 4) and (3.5 - 4) from
    # their own batch's controls, GATA1's cell at 2.25 - 2.
    assert means.control_means[0].tolist() == [3.0, 0.5]
    changes = means.means - means.control_means[0]
    np.testing.assert_allclose(changes[:, 0], [0.25, (-1.0 - 1.5 - 0.5) / 3], atol=1e-12)
    np.testing.assert_allclose(changes[:, 1], 0.0, atol=1e-12)
    pooled = pseudobulk(read(by_hand, match=False))
    np.testing.assert_allclose(pooled.means[:, 0] - 3.0, [-0.75, 7.0 / 3 - 3.0], atol=1e-12)


@pytest.mark.parametrize("match", [True, False])
def test_what_batches_take_is_counted_before_a_value_is_read(by_hand: Path, match: bool) -> None:
    environment = Environment.load()
    mapping = DataMapping(batch_column="batch", match_batches=match)
    outline = outline_file(by_hand, mapping=mapping)
    size, held = CellsSize.of(outline), CellsSize.of_data(read(by_hand, match=match))
    assert size is not None
    # Both batches, and control cells of small ones; offsets alone take 8 bytes of each gene.
    assert size.n_offsets == held.n_offsets == outline.n_offsets == (3 if match else 0)
    wide = replace(size, n_genes=18_000)
    without = replace(wide, n_offsets=0)
    for way in ("in_memory", "without_tables", "streamed", "bounded", "while_fitting"):
        more = getattr(wide, way) - getattr(without, way)
        assert (more >= 3 * 18_000 * 8) == match
        assert (more == 0) == (not match)
    cost = costs.DataSize(
        n_cells=8, n_genes=18_000, n_conditions=2, n_controls=4, n_values=16, n_offsets=300
    )
    more = costs.process_bytes(cost, None) - costs.process_bytes(replace(cost, n_offsets=0), None)
    assert more >= 300 * 18_000 * 8
    needed = size.needed(streams=True)
    request = DataRequest(dataset=str(by_hand), memory=needed, mapping=mapping)
    assert open_data(request, environment, no_report).n_cells == 8
    with pytest.raises(DataError, match="--memory"):
        open_data(replace(request, memory=needed - 1), environment, no_report)


def test_a_t_test_uses_the_variance_within_batches(by_hand: Path) -> None:
    data = read(by_hand)
    # Without batch effects the cells of KLF1 are 2, 1.5, 2.5 and the controls 2, 4, 2.5, 3.5.
    own, control = [2.0, 1.5, 2.5], [2.0, 4.0, 2.5, 3.5]
    expected = stats.ttest_ind(own, control, equal_var=False).statistic
    klf1 = [condition.label for condition in data.conditions].index("KLF1")
    assert de_scores(data)[klf1, 0] == pytest.approx(expected, rel=1e-9)
    assert de_genes(data).origin == "computed"


def test_small_batches_are_compared_with_all_controls(
    by_hand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "MIN_CONTROLS", 3)
    data = read(by_hand)
    means, pooled = pseudobulk(data), pseudobulk(read(by_hand, match=False))
    np.testing.assert_allclose(means.means, pooled.means, atol=1e-12)
    np.testing.assert_allclose(means.control_means, pooled.control_means, atol=1e-12)


def make(tmp_path: Path, **options: object) -> tuple[PerturbationData, PerturbationData]:
    """Random sparse cells in two cell types and four batches; matched, and as dense cells."""
    rng = np.random.default_rng(3)
    n = 240
    values = rng.poisson(0.8, (n, 4)) * rng.random((n, 4))
    values[:, 0] += 0.1
    labels = np.array(["ctrl", "KLF1+ctrl", "GATA1+ctrl"])[rng.integers(0, 3, n)]
    kinds = np.array(["T", "B"])[rng.integers(0, 2, n)]
    batch = np.array(["p", "q", "r", "s", None], dtype=object)[rng.integers(0, 5, n)]
    values[batch == "q"] *= 1.5
    # Batch s has no control.
    labels[(batch == "s") & (labels == "ctrl")] = "KLF1+ctrl"
    path = write(tmp_path / "cells.h5ad", values, list(labels), list(batch), cell_type=list(kinds))
    data = read(path)
    assert data.batches is not None
    offsets = np.concatenate((data.batches.offsets, np.zeros((1, 4))))
    moved = data.expression.toarray().astype(np.float64) - offsets[data.batches.rows]
    dense = replace(data, expression=sparse.csr_matrix(moved), batches=None)
    return data, dense


def test_every_sum_equals_that_of_cells_made_dense(tmp_path: Path) -> None:
    data, dense = make(tmp_path)
    ours, theirs = pseudobulk(data), pseudobulk(dense)
    np.testing.assert_allclose(ours.means, theirs.means, atol=1e-10)
    np.testing.assert_allclose(ours.control_means, theirs.control_means, atol=1e-10)
    np.testing.assert_allclose(de_scores(data), de_scores(dense), rtol=1e-4)
    np.testing.assert_allclose(scores_vs_rest(data, ours), scores_vs_rest(dense, theirs), rtol=1e-4)
    halves = [half_means(of, data.conditions, np.random.default_rng(1)) for of in (data, dense)]
    np.testing.assert_allclose(*halves, atol=1e-10)


def test_controls_keep_their_mean(tmp_path: Path) -> None:
    data, _ = make(tmp_path)
    plain = pseudobulk(replace(data, batches=None))
    np.testing.assert_allclose(pseudobulk(data).control_means, plain.control_means, atol=1e-12)


def test_a_rank_test_adds_the_batches_statistics(tmp_path: Path) -> None:
    data, _ = make(tmp_path)
    assert data.batches is not None
    cells, rows = data.expression.toarray(), data.batches.rows
    p_values = rank_sum_p_values(data)
    for number, condition in enumerate(data.conditions):
        of_type = data.cell_type_codes == data.cell_types.index(condition.cell_type)
        controls = of_type & (data.condition_codes < 0)
        own = data.condition_codes == number
        total, variance, step = 0.0, 0.0, np.inf
        for row in np.unique(rows[own]):
            mine = cells[own & (rows == row), 1]
            theirs = cells[controls if row < 0 else controls & (rows == row), 1]
            both = np.concatenate((mine, theirs))
            ranks, n, m = stats.rankdata(both), len(mine), len(theirs)
            ties = sum(count**3 - count for count in np.unique(both, return_counts=True)[1])
            weight = 1 / (n + m + 1)
            total += weight * (ranks[:n].sum() - n * (n + m + 1) / 2)
            variance += weight**2 * (n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
            step = min(step, weight)
        z = (abs(total) - 0.5 * step) / np.sqrt(variance)
        assert p_values[number, 1] == pytest.approx(min(2 * stats.norm.sf(z), 1.0), rel=1e-9)


def test_one_batch_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, (60, 3)) * rng.random((60, 3)) + 0.05
    labels = ["ctrl"] * 30 + ["KLF1"] * 15 + ["GATA1"] * 15
    path = write(tmp_path / "one.h5ad", values, labels, ["only"] * 60)
    matched, pooled = read(path), read(path, match=False)
    np.testing.assert_allclose(pseudobulk(matched).means, pseudobulk(pooled).means, atol=1e-12)
    np.testing.assert_allclose(de_scores(matched), de_scores(pooled), rtol=1e-6)
    np.testing.assert_allclose(rank_sum_p_values(matched), rank_sum_p_values(pooled), rtol=1e-12)
    assert (de_tests(matched).is_significant == de_tests(pooled).is_significant).all()


def test_matching_is_said_and_changes_the_fingerprint_and_no_batch_changes_neither(
    by_hand: Path,
) -> None:
    matched, pooled = read(by_hand), read(by_hand, match=False)
    plain = read_anndata(by_hand)
    assert matched.sha256 != pooled.sha256 == plain.sha256
    assert any("matched by batch" in note for note in matched.notes)
    assert not any("matched by batch" in note for note in pooled.notes)
    assert matched.mapping.given() == {"batch_column": "batch", "match_batches": True}
    assert as_flags(pooled.mapping.given()) == "--batch-column batch --no-match-batches"
    assert plain.batches is None
    assert plain.mapping.match_batches is None
    assert (pseudobulk(pooled).means == pseudobulk(plain).means).all()


def test_matching_without_batches_is_refused(by_hand: Path) -> None:
    with pytest.raises(DataError, match="--batch-column"):
        read_anndata(by_hand, mapping=DataMapping(match_batches=True))


def test_a_file_with_gears_lists_is_not_matched_unless_asked(tmp_path: Path) -> None:
    from dygenept.testing import write_toy_h5ad

    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    adata = anndata.read_h5ad(path)
    adata.obs["batch"] = pd.Categorical(np.arange(adata.n_obs) % 2)
    names = adata.obs["condition_name"].cat.categories
    adata.uns["top_non_dropout_de_20"] = {
        name: adata.var_names[:20].to_numpy() for name in names if "ctrl_1" not in name[:12]
    }
    adata.write_h5ad(path)
    data = read(path)
    if not data.de_lists:
        pytest.skip("the toy file carries no lists")
    assert data.batches is None
    assert data.mapping.match_batches is False
    assert any("--match-batches" in note for note in data.notes)
    asked = read(path, match=True)
    assert asked.batches is not None
    assert not asked.de_lists


def test_cells_with_too_few_controls_of_their_batch_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # (label, batch, cell type, cells); no batch of the other type's controls helps.
    groups = [
        *(("ctrl", "a", "K562", 12), ("ctrl", "b", "K562", 4), ("ctrl", "b", "RPE1", 12)),
        *(("KLF1", "a", "K562", 3), ("KLF1", "b", "K562", 5), ("KLF1", "a", "RPE1", 2)),
        *(("GATA1", "b", "RPE1", 3), ("GATA1", "c", "K562", 2), ("GATA1", None, "K562", 1)),
    ]
    labels, batches, types = (
        [group[part] for group in groups for _ in range(group[3])] for part in range(3)
    )
    path = write(
        tmp_path / "s.h5ad", rng.random((len(labels), 4)), labels, batches, cell_type=types
    )
    notes = read(path).notes
    (few,) = [note for note in notes if "fewer than 10 control cells" in note]
    # Five in b and two in a; those of c, which has no control at all, are told of by another note.
    assert few.startswith("7 perturbed cell(s)")
    assert "such as 'a'" in few
    assert any(note.startswith("1 batch(es) have no control cell, such as 'c'") for note in notes)
    # A cell without a batch makes no batch.
    assert any(note.startswith("3 batches in obs") for note in notes)
    assert any(note.startswith("1 cell(s) have no batch in obs") for note in notes)
    assert not any("fewer than 10 control" in note for note in read(path, match=False).notes)
