"""Each step of a preparation against values worked by hand, and the whole against the reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_screen import GENES, LABELS, MAPPING, counts_of, prepared, write

from dygenept.data import batches
from dygenept.data.batches import batch_factors
from dygenept.data.prepare import row_blocks
from dygenept.data.prepare.filters import CellSums, filter_cells, filter_genes
from dygenept.data.prepare.knock_down import target_columns, target_moves
from dygenept.data.prepare.options import PrepareOptions
from dygenept.data.prepare.pipeline import prepare_file
from dygenept.data.prepare.screen import describe_screen
from dygenept.data.prepare.strength import energy_test
from dygenept.data.prepare.variable_genes import normalized_dispersions, top_variable
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.errors import DataError
from dygenept.types import Condition, Fold, Perturbation


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    return write(tmp_path / "screen.h5ad", *counts_of())


@pytest.mark.parametrize("encoding", ["csr", "csc", "dense"])
def test_without_filters_a_ready_file_is_what_the_reader_makes_of_the_original(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK", 300)
    monkeypatch.setattr(row_blocks, "GATHERED", 1000)
    path = write(tmp_path / "screen.h5ad", *counts_of(), encoding)
    before = path.read_bytes()
    made = prepared(path)
    assert path.read_bytes() == before
    ours, theirs = read_anndata(made.path), read_anndata(path, normalize=True, mapping=MAPPING)
    np.testing.assert_allclose(
        ours.expression.toarray(), theirs.expression.toarray(), rtol=2e-7, atol=0
    )
    assert ours.conditions == theirs.conditions
    assert (ours.condition_codes == theirs.condition_codes).all()
    assert ours.gene_symbols == theirs.gene_symbols
    assert list(ours.cell_ids) == list(theirs.cell_ids)


def test_a_ready_file_says_which_draw_its_simulated_cells_are(tmp_path: Path) -> None:
    path = write(tmp_path / "screen.h5ad", *counts_of())
    with h5py.File(path, "r+") as file:
        file["uns/dygenept/simulated"] = True
        file["uns/dygenept/seed"] = 7
    ready = read_anndata(prepared(path).path)
    assert (ready.is_simulated, ready.draw) == (True, 7)


def test_normalised_dispersions_are_those_of_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    means = rng.gamma(0.5, 4.0, 300)
    variances = means * rng.gamma(2.0, 1.0, 300)
    means[0], variances[1], means[2] = 0.0, 0.0, 500.0
    variances[0] = 0.0
    # scanpy 1.10.4, highly_variable_genes(flavor="seurat"), step by step.
    mean = np.where(means == 0, 1e-12, means)
    dispersion = np.log(np.where(variances == 0, np.nan, variances / mean))
    frame = pd.DataFrame({"mean": np.log1p(mean), "dispersion": dispersion})
    frame["bin"] = pd.cut(frame["mean"], bins=20)
    grouped = frame.groupby("bin", observed=True)["dispersion"]
    average, spread = grouped.transform("mean"), grouped.transform("std")
    alone = spread.isna()
    spread[alone], average[alone] = average[alone], 0.0
    expected = (frame["dispersion"] - average) / spread
    found = normalized_dispersions(means, variances)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert np.isnan(found[[0, 1]]).all()
    assert found[2] == 1.0
    chosen = top_variable(found, 50)
    assert chosen.sum() == 50
    assert found[chosen].min() >= np.nanmax(found[~chosen])
    assert top_variable(np.array([1.0, np.nan, 1.0, 2.0]), 2).tolist() == [True, False, False, True]


def test_held_out_cells_have_no_say_in_which_genes_are_kept(tmp_path: Path) -> None:
    counts, labels = counts_of()
    other = counts.copy()
    held_out = labels == "SPI1"
    other[held_out] = np.random.default_rng(9).permuted(counts[held_out], axis=1)
    other[held_out] *= np.where(np.arange(len(GENES)) % 2, 5, 1)
    # Totals stay, so that the cells' own scale is all that differs.
    chosen = []
    for name, values in (("one", counts), ("two", other)):
        folder = tmp_path / name
        folder.mkdir()
        made = prepare_file(
            write(folder / "screen.h5ad", values, labels),
            folder / "ready.h5ad",
            PrepareOptions(
                mapping=MAPPING,
                normalize=True,
                target_sum=100.0,
                n_variable=8,
                min_cells=20,
                keeps_targets=False,
            ),
            fold_of=lambda _: Fold(train=("KLF1", "GATA1"), val=(), test=("SPI1",)),
        )
        chosen.append(read_anndata(made.path).gene_ids)
        said = made.manifest["variable_genes"]
        assert isinstance(said, dict)
        assert said["train_labels"] == ["GATA1", "KLF1"]
        assert said["n_cells"] == int(np.isin(labels, ["control", "KLF1", "GATA1"]).sum())
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 8
    everything = PrepareOptions(mapping=MAPPING, normalize=True, n_variable=8)
    made = prepare_file(tmp_path / "one/screen.h5ad", tmp_path / "all.h5ad", everything)
    said = made.manifest["variable_genes"]
    assert isinstance(said, dict)
    assert said["cells"] == "control"
    # Targets are kept beside the chosen genes.
    assert {"KLF1", "SPI1", "JAK2"} <= set(read_anndata(made.path).gene_symbols)


def test_cells_are_left_out_for_each_reason_once() -> None:
    sums = CellSums(
        totals=np.array([10.0, 1.0, 10.0, 10.0, 10.0, 10.0, 10.0]),
        n_genes=np.array([5, 5, 1, 5, 5, 5, 5], dtype=np.int32),
        mito=np.array([0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0]),
        has_mito=True,
    )
    codes = np.array([0, 0, 0, 0, 0, 1, -1], dtype=np.int32)
    types = np.zeros(7, dtype=np.int32)
    options = PrepareOptions(min_counts=5, min_genes=2, max_mito=0.5, min_cells_per_perturbation=2)
    counts: dict[str, int] = {}
    kept = filter_cells(sums, codes, types, options, counts)
    assert kept.tolist() == [True, False, False, False, True, False, True]
    assert list(counts.values()) == [1, 1, 1, 1, 1]
    with pytest.raises(DataError, match="no perturbed cell"):
        filter_cells(sums, codes, types, replace(options, min_cells_per_perturbation=3), {})
    with pytest.raises(DataError, match="no control cell"):
        filter_cells(sums, np.where(codes < 0, 0, codes), types, options, {})
    assert filter_genes(np.array([0, 2, 3]), PrepareOptions(min_cells=2), counts).tolist() == [
        *(False, True, True)
    ]
    with pytest.raises(DataError, match="--min-cells"):
        filter_genes(np.array([0, 1]), PrepareOptions(min_cells=2), {})


def test_scaled_batches_have_one_control_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MIN_CONTROLS", 2)
    # Two batches of one type: means 1 and 3 over 2 and 2 cells, all controls 2.
    sums = np.array([[2.0, 0.0, 2.0], [6.0, 4.0, 100.0]])
    factors, n_limited = batch_factors(sums, np.array([2, 2]), n_batches=2)
    np.testing.assert_allclose(factors, [[2.0, 1.0, 4.0], [2 / 3, 0.5, 0.51]])
    assert n_limited == 1  # 25.5 in the first batch
    few, _ = batch_factors(sums, np.array([2, 1]), n_batches=2)
    assert (few[1] == 1.0).all()


def test_targets_are_tested_one_sided_in_the_direction_of_the_modality() -> None:
    rng = np.random.default_rng(1)
    own, control = rng.normal(0.4, 1.0, 30), rng.normal(1.0, 2.0, 50)

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.array([x.sum()]), np.array([(x**2).sum()]), np.array([len(x)], dtype=np.int32)

    rows = np.array([3], dtype=np.int32)
    for direction, side in ((-1, "less"), (1, "greater")):
        found = target_moves(moments(own), moments(control), rows=rows, direction=direction)
        expected = stats.ttest_ind(own, control, equal_var=False, alternative=side)
        assert found.p_values[0] == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.moves[0] == (direction < 0)
    assert PrepareOptions(modality="CRISPRa").direction == 1
    assert PrepareOptions(modality="CRISPR knock-out").direction == -1


def test_only_the_target_of_a_single_perturbation_is_looked_at() -> None:
    conditions = [
        Condition(Perturbation("+".join(genes), genes), "K562")
        for genes in (("KLF1",), ("GATA1", "KLF1"), ("ABSENT",))
    ]
    assert target_columns(conditions, ["GATA1", "KLF1"]).tolist() == [1, -1, -1]


def test_the_energy_distance_is_the_loop_over_pairs_and_its_test_counts_shuffles() -> None:
    rng = np.random.default_rng(0)
    own, others = rng.normal(0, 1, (6, 3)), rng.normal(1, 1, (9, 3))

    def between(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean([[np.linalg.norm(a - b) for b in other] for a in one]))

    expected = 2 * between(own, others) - between(own, own) - between(others, others)
    found, p_value = energy_test(own, others, 199, np.random.default_rng(2))
    assert found == pytest.approx(expected, rel=1e-12)
    assert p_value <= 0.05
    same, certain = energy_test(own, own.copy(), 99, np.random.default_rng(2))
    assert same == pytest.approx(0.0, abs=1e-12)
    assert certain == 1.0
    assert np.isnan(energy_test(own, others, 0, rng)[1])


def test_targets_batches_and_strength_come_out_of_a_screen(screen: Path) -> None:
    made = prepared(
        screen,
        mapping=replace(MAPPING, batch_column="lane"),
        batches="controls",
        modality="CRISPRi",
        min_cells_per_perturbation=5,
    )
    targets = made.manifest["targets"]
    assert isinstance(targets, dict)
    assert targets["n_perturbations"] == 3
    assert made.moves is not None
    moved = dict(zip(made.conditions, made.moves.moves.tolist(), strict=True))
    assert moved["KLF1", "unknown"]
    assert moved["GATA1", "unknown"]
    data = read_anndata(made.path)
    assert data.batches is not None
    assert data.mapping.batch_column == "batch"
    described = describe_screen(data, permutations=19, seed=0)
    rows = described["conditions"]
    assert isinstance(rows, list)
    assert {row["perturbation"] for row in rows} >= {"KLF1", "GATA1", "SPI1"}
    assert len(rows) == 4
    assert all(0 < row["p"] <= 1 and row["energy_distance"] >= 0 for row in rows)
    batches = described["batches"]
    assert isinstance(batches, list)
    assert sum(row["n_cells"] for row in batches) == data.n_cells


def test_a_column_of_batches_that_is_left_out_is_said(screen: Path) -> None:
    with_batches = replace(MAPPING, batch_column="lane")
    for options, is_said in (
        ({"mapping": with_batches}, True),
        ({"mapping": with_batches, "batches": "controls"}, False),
        ({"mapping": with_batches, "batches": "scale"}, False),
        ({}, False),
    ):
        made = prepared(screen, **options)
        said = any("column of batches is left out" in note for note in made.manifest["notes"])
        assert said == is_said
        assert (read_anndata(made.path).batches is None) == (options.get("batches") != "controls")


def test_what_is_noise_is_not_called_reliable(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["control", *LABELS[1:-1]], [20, 60, 60, 60])
    counts = rng.poisson(4.0, (len(labels), len(GENES))).astype(np.float32)
    made = prepared(write(tmp_path / "screen.h5ad", counts, labels))
    rows = describe_screen(read_anndata(made.path), permutations=0, seed=0)["conditions"]
    assert isinstance(rows, list)
    # Halves with the same control cells would correlate by 0.6.
    assert abs(np.mean([row["split_half_r"] for row in rows])) < 0.2


def test_scaling_batches_leaves_controls_with_one_mean(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MIN_CONTROLS", 2)
    monkeypatch.setattr(batches, "MAX_FACTOR", 1e6)
    made = prepared(screen, mapping=replace(MAPPING, batch_column="lane"), batches="scale")
    record = made.manifest["batches"]
    assert isinstance(record, dict)
    assert record["n_batches"] == 3
    data = read_anndata(made.path)
    lanes = np.array([int(str(cell)[1:]) % 3 for cell in data.cell_ids])
    is_control = data.condition_codes < 0
    means = np.stack(
        [
            data.expression[np.flatnonzero(is_control & (lanes == lane))].mean(axis=0).A1
            for lane in range(3)
        ]
    )
    expressed = (means > 0).all(axis=0)
    assert expressed.sum() > 20
    np.testing.assert_allclose(means[1:, expressed], means[[0, 0]][:, expressed], rtol=1e-5)
    assert record["factors_limited"] == 0


def test_a_manifest_is_kept_in_the_file_and_says_what_was_done(screen: Path) -> None:
    made = prepared(screen, min_counts=1.0, target_sum=1e4)
    with h5py.File(made.path) as file:
        kept = json.loads(file["uns/dygenept/prepared"][()])
    assert kept == json.loads(json.dumps(made.manifest))
    assert kept["total"] == 1e4
    assert kept["source"]["file"] == str(screen)
    assert kept["cells"] == {"in": 150, "kept": 150}
