"""The check of targets within batches, against cells whose batch effects are taken away by hand."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from small_screen import GENES

from dygenept.data.prepare import row_blocks
from dygenept.data.prepare.options import PrepareOptions
from dygenept.data.prepare.pipeline import Prepared, prepare_file
from dygenept.types import DataMapping

BATCHES = ("a", "b", "c", None)
N_CONTROLS = (40, 12, 4, 3)


def screen(path: Path, effect: float) -> anndata.AnnData:
    """Write a screen of two cell types whose conditions are in two of four batches each."""
    rng = np.random.default_rng(0)
    of_batch = 5.0 * np.exp(rng.normal(0.0, 0.4, (2, len(BATCHES), len(GENES))))
    cells: list[tuple[str, int, int]] = []
    for kind in (0, 1):
        cells += [("control", kind, b) for b, n in enumerate(N_CONTROLS) for _ in range(n)]
        for gene in GENES[:20]:
            two = rng.choice(len(BATCHES), 2, replace=False)
            cells += [(gene, kind, int(two[number % 2])) for number in range(30)]
    labels = np.array([label for label, _, _ in cells])
    kinds, batches = (np.array([of[part] for of in cells]) for part in (1, 2))
    rate = of_batch[kinds, batches]
    for row, label in enumerate(labels):
        if label != "control":
            rate[row, GENES.index(label)] *= np.exp(-effect)
    counts = rng.poisson(rate).astype(np.float32)
    obs = pd.DataFrame(
        {
            "condition": labels,
            "cell_type": np.array(["K562", "RPE1"])[kinds],
            "lane": pd.Categorical([BATCHES[batch] for batch in batches]),
        },
        index=[f"c{number}" for number in range(len(labels))],
    )
    adata = anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=list(GENES)))
    adata.write_h5ad(path)
    return adata


def prepared(path: Path, batches: str) -> Prepared:
    mapping = DataMapping(batch_column="lane")
    options = PrepareOptions(
        mapping=mapping,
        normalize=True,
        modality="CRISPRi",
        batches=batches,  # type: ignore[arg-type]
    )
    return prepare_file(path, path.with_name("ready.h5ad"), options)


def test_targets_are_those_of_cells_without_batch_effects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK", 2000)
    adata = screen(tmp_path / "screen.h5ad", 0.3)
    moves = prepared(tmp_path / "screen.h5ad", "controls")
    counts = adata.X.toarray().astype(np.float64)
    totals = counts.sum(axis=1)
    values = np.log1p(counts / totals[:, None] * np.median(totals))
    labels, kinds = (adata.obs[name].to_numpy().astype(str) for name in ("condition", "cell_type"))
    lanes = adata.obs["lane"].astype(object).fillna("none").to_numpy().astype(str)
    plain = values.copy()
    for kind in ("K562", "RPE1"):
        control = (labels == "control") & (kinds == kind)
        overall = values[control].mean(axis=0)
        for lane in ("a", "b"):  # with ten controls or more
            own = control & (lanes == lane)
            plain[(kinds == kind) & (lanes == lane)] -= values[own].mean(axis=0) - overall
        few = control & np.isin(lanes, ["c", "none"])
        plain[few] -= values[few].mean(axis=0) - overall
    found = moves.moves
    assert found is not None
    assert len(moves.conditions) == 40
    for (label, kind), change, p_value in zip(
        moves.conditions, found.changes, found.p_values, strict=True
    ):
        column, mine = GENES.index(label), kinds == kind
        own = plain[mine & (labels == label), column]
        control_values = plain[mine & (labels == "control"), column]
        assert change == pytest.approx(own.mean() - control_values.mean(), abs=1e-6)
        expected = stats.ttest_ind(own, control_values, equal_var=False, alternative="less")
        assert p_value == pytest.approx(expected.pvalue, rel=1e-3, abs=1e-9)


def test_a_batch_does_not_pass_for_a_knock_down(tmp_path: Path) -> None:
    screen(tmp_path / "screen.h5ad", 0.0)
    shares = {}
    for batches in ("none", "controls"):
        targets = prepared(tmp_path / "screen.h5ad", batches).manifest["targets"]
        assert targets is not None
        shares[batches] = targets["share_significant"]
    assert shares["none"] is not None
    assert shares["controls"] is not None
    # Half of the cells are in batches with too few controls to say anything of them.
    assert shares["controls"] < shares["none"]
