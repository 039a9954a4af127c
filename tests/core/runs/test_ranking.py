"""Closeness to a wanted state, on a model whose predictions and errors are written down."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest

from dygenept.errors import ConfigError, DataError
from dygenept.model.combinations import Swept
from dygenept.model.estimator import DyGenePTModel
from dygenept.runs import sweep as sweeping
from dygenept.runs.ranking import RankRequest, rank_perturbations
from dygenept.runs.sweep import Sweep, read_genes, write_sweep
from dygenept.runs.wanted_state import WantedState, read_state
from dygenept.types import Condition, DoubleArray, Predictions

GENES = ("G1", "G2", "G3", "G4")
CONTROL = np.array([1.0, 2.0, 3.0, 4.0])
CHANGES = {
    "A": np.array([1.0, 0.0, 0.0, 0.0]),
    "B": np.array([2.0, 0.0, 0.0, 0.0]),
    "C": np.array([0.0, 1.0, 0.0, 0.0]),
    "D": np.zeros(4),
}
SINGLES = Sweep(tuple(CHANGES), "singles", ("K562",))


class Written:
    """Predicts control plus the sum of written changes, with a written error."""

    def __init__(self, error: float | None = None, n_genes: int = 4) -> None:
        ids = GENES if n_genes == 4 else tuple(f"G{number}" for number in range(n_genes))
        control = CONTROL if n_genes == 4 else np.zeros(n_genes)
        self.error, self.n_genes = error, n_genes
        self.state = SimpleNamespace(
            gene_ids=ids,
            gene_symbols=ids,
            cell_types=("K562",),
            control_means=control[None],
        )
        self.outputs = self.state
        self.met: tuple[str, ...] = ()

    def sweeping(
        self,
        genes: Sequence[str],
        columns: np.ndarray | None = None,
        *,
        with_spread: bool = False,
    ) -> Callable[[Sequence[Condition]], Swept]:
        self.met = tuple(genes)
        wanted = slice(None) if columns is None else columns

        def predict(conditions: Sequence[Condition]) -> Swept:
            spread = self.spread(conditions) if with_spread else None
            rows = self.predict(conditions).expression[:, wanted].astype(np.float32)
            return Swept(rows, None if spread is None else spread.astype(np.float32))

        return predict

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        rows = np.zeros((len(conditions), self.n_genes))
        if self.n_genes == 4:
            rows = np.array([CONTROL + sum(CHANGES[g] for g in of.genes) for of in conditions])
        return Predictions(tuple(conditions), rows)

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray | None:
        return None if self.error is None else np.full((len(conditions), 4), self.error)


def written(error: float | None = None, n_genes: int = 4) -> DyGenePTModel:
    return cast(DyGenePTModel, Written(error, n_genes))


def state(**changes: float) -> WantedState:
    return WantedState({**dict.fromkeys(GENES, 0.0), **changes}, is_change=True)


def test_correlation_ignores_the_size_of_a_change_and_distance_does_not() -> None:
    wanted = state(G1=2.0)
    by_correlation = rank_perturbations(written(), wanted, SINGLES, RankRequest()).table
    # A and B point the same way; ties keep the order of the candidates. D has no direction.
    assert by_correlation["perturbation"].to_list() == ["A+ctrl", "B+ctrl", "C+ctrl"]
    assert by_correlation["correlation"].to_list() == pytest.approx([1, 1, -1 / 3])
    by_distance = rank_perturbations(written(), wanted, SINGLES, RankRequest(by="euclidean")).table
    assert by_distance["perturbation"].to_list() == ["B+ctrl", "A+ctrl", "D+ctrl", "C+ctrl"]
    assert by_distance["distance"].to_list() == pytest.approx([0, 1, 2, 5**0.5])
    assert by_distance["correlation"].to_list()[2] is None


def test_what_is_predicted_to_change_nothing_has_no_direction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Predictions are float32 and control is not: what rounding leaves is no change."""
    monkeypatch.setattr(sys.modules[__name__], "CONTROL", np.array([0.1, 0.7, 1.3, 2.9]))
    for wanted in (state(G1=2.0), state(G2=-1.0), state(G3=1.0, G4=1.0)):
        found = rank_perturbations(written(), wanted, SINGLES, RankRequest())
        assert set(found.table["perturbation"]) == {"A+ctrl", "B+ctrl", "C+ctrl"}
        assert any("1 of 4 candidates" in note for note in found.notes)
    by_distance = rank_perturbations(written(), wanted, SINGLES, RankRequest(by="euclidean"))
    correlations = dict(by_distance.table.select("perturbation", "correlation").iter_rows())
    assert correlations["D+ctrl"] is None
    assert not any("candidates" in note for note in by_distance.notes)


def test_wanted_expression_is_measured_from_control_like_a_wanted_change() -> None:
    wanted = WantedState(dict(zip(GENES, (CONTROL + CHANGES["C"]).tolist(), strict=True)))
    for by in ("correlation", "euclidean"):
        found = rank_perturbations(written(), wanted, SINGLES, RankRequest(by=by)).table
        assert found["perturbation"][0] == "C+ctrl"


def test_blocks_of_any_size_give_the_same_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = Sweep(("A", "B", "C", "D"), "pairs", ("K562",))
    asked = (written(), state(G1=2.0, G2=1.0), pairs, RankRequest(by="euclidean", top=3))
    whole = rank_perturbations(*asked)
    monkeypatch.setattr(sweeping, "BLOCK_VALUES", 4)
    one_by_one = rank_perturbations(*asked)
    assert whole.n_candidates == 6
    assert whole.table["perturbation"].to_list() == ["B+C", "A+C", "B+D"]
    assert one_by_one.table.equals(whole.table)


def test_uncertainty_is_that_of_the_models_error() -> None:
    wanted = state(G1=2.0)
    request = RankRequest(by="euclidean", top=2)
    sure = rank_perturbations(written(1e-6), wanted, SINGLES, request).table
    assert sure["share_first"].to_list() == [1.0, 0.0]
    assert sure["distance_sd"].to_list() == pytest.approx([0, 0], abs=1e-5)
    unsure = rank_perturbations(written(3.0), wanted, SINGLES, request).table
    # The norm of four normal errors of size 3 has a standard deviation near 2.
    assert unsure["distance_sd"][0] == pytest.approx(2.05, rel=0.15)
    assert 0.5 < unsure["share_first"][0] < 0.7
    silent = rank_perturbations(written(None), wanted, SINGLES, request)
    assert silent.table["share_first"].to_list() == [None, None]
    assert any("no uncertainty" in note for note in silent.notes)


def test_genes_that_the_model_does_not_predict_are_named() -> None:
    found = rank_perturbations(
        written(),
        WantedState({"G1": 1.0, "G2": 0.0, "OTHER": 1.0}, True),
        SINGLES,
        RankRequest(by="euclidean"),
    )
    assert found.n_genes == 2
    assert any("OTHER" in note for note in found.notes)
    with pytest.raises(DataError, match="at least two"):
        rank_perturbations(
            written(), WantedState({"G1": 1.0, "OTHER": 1.0}, True), SINGLES, RankRequest()
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gene,value\nG1,1\nG2,1\n", "expression"),
        ("gene,delta\nG1,1\nG1,2\n", "more than once"),
        ("gene,delta\nG1,high\nG2,low\n", "not a number"),
        ("gene,delta\nG1,1\n", "2 genes or more"),
        ("gene,delta\nG1,inf\nG2,1\n", "not a finite number"),
        ("gene,delta\nG1,NaN\nG2,1\nG3,NaN\n", r"G1 is not a finite number \(2 such"),
        ("gene,delta\nG1,\nG2,1\n", "not a number"),
        ("gene,delta\nG1,1\n,2\n,3\n", "2 row.s. name no gene"),
        ("gene,delta,expression\nG1,1,1\nG2,1,1\n", "both expression and delta"),
    ],
)
def test_a_state_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "state.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_state(tmp_path / "state.csv")


def test_a_state_may_begin_with_many_whole_numbers(tmp_path: Path) -> None:
    rows = [*(f"G{number},0" for number in range(2000)), "KLF1,0.25"]
    (tmp_path / "state.csv").write_text("\n".join(["gene,delta", *rows]) + "\n")
    found = read_state(tmp_path / "state.csv")
    assert len(found.values) == 2001
    assert found.values["KLF1"] == 0.25
    # The first line of genes may be numbers too: Entrez ids beside symbols.
    rows = [*(f"{number},0" for number in range(2000)), "KLF1,1"]
    (tmp_path / "ids.tsv").write_text("\n".join(["gene,delta", *rows]).replace(",", "\t") + "\n")
    assert read_state(tmp_path / "ids.tsv").values["KLF1"] == 1.0


def test_two_genes_cannot_be_correlated_but_have_a_distance() -> None:
    two = WantedState({"G1": 1.0, "G2": 0.5}, True)
    with pytest.raises(DataError, match="always 1 or −1"):
        rank_perturbations(written(), two, SINGLES, RankRequest())
    assert rank_perturbations(written(), two, SINGLES, RankRequest(by="euclidean")).n_genes == 2


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="correlation"):
        RankRequest(by="cosine")
    with pytest.raises(ConfigError, match="1 or more"):
        RankRequest(top=0)


def test_a_list_of_genes_leaves_out_comments_and_repeats(tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text("# mine\nA\n\n B \nA\n")
    assert read_genes(tmp_path / "genes.txt") == ("A", "B")
    # As Windows' editor writes it.
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbfA\r\nB\r\n")
    assert read_genes(tmp_path / "marked.txt") == ("A", "B")
    (tmp_path / "empty.txt").write_text("# none\n")
    with pytest.raises(DataError, match="no gene"):
        read_genes(tmp_path / "empty.txt")


def test_memory_of_a_sweep_is_that_of_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly three times as many pairs take no more memory."""
    monkeypatch.setattr(sweeping, "BLOCK_VALUES", 20_000)

    def peak(n: int) -> int:
        many = Sweep(tuple(f"T{number}" for number in range(n)), "pairs", ("K562",))
        tracemalloc.start()
        n_rows = write_sweep(written(n_genes=100), many, tmp_path / "p.parquet", lambda _: None)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_rows == n * (n - 1) // 2
        return found

    peak(22)
    assert peak(100) < 1.3 * peak(60)


def test_a_sweep_writes_how_far_off_each_prediction_may_be(tmp_path: Path) -> None:
    pairs = Sweep(("A", "B", "C"), "pairs", ("K562",))
    files = tmp_path / "pairs.parquet", tmp_path / "sd.parquet"
    assert write_sweep(written(0.5), pairs, files[0], lambda _: None, spread=files[1]) == 3
    found, spread = (pl.read_parquet(path) for path in files)
    assert spread.columns == found.columns == ["perturbation", "cell_type", *GENES]
    assert spread["perturbation"].to_list() == ["A+B", "A+C", "B+C"]
    assert (spread.select(GENES).to_numpy() == 0.5).all()
    assert found.select(GENES).row(0) == (4.0, 2.0, 3.0, 4.0)


def test_a_sweep_of_a_model_without_uncertainty_leaves_no_file(tmp_path: Path) -> None:
    beside = tmp_path / "sd.parquet"
    with pytest.raises(ConfigError, match="states no uncertainty"):
        write_sweep(written(), SINGLES, tmp_path / "p.parquet", lambda _: None, spread=beside)
    with pytest.raises(ConfigError, match="need a file each"):
        write_sweep(written(0.5), SINGLES, beside, lambda _: None, spread=beside)
    assert not list(tmp_path.iterdir())
