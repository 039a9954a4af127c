"""``train``, ``evaluate``, ``predict`` and ``explain`` on a table of effects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import dygenept
from dygenept.testing.toy import write_toy_h5ad

GENES = ("GATA1", "KLF1", "MYC", "TP53", "BRCA1", "SPI1")
# Of MED1 to MED20, and of FOXA1.
VECTORS = np.random.default_rng(1).standard_normal((21, 6))
SETS = [
    f"--set={item}"
    for item in (
        "table.epochs=1",
        "table.width=8",
        "table.standard_errors=-1000",
        "table.lr=0.05",
        "links=[reactome]",
    )
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Labels of 20 perturbations on six genes; a quarter is missing, a fifth is held out.

    A label is told by the first number of the perturbation's vector, and turned for half the genes.
    """
    rng = np.random.default_rng(0)
    rows = [
        f"MED{number + 1},{gene},{int((VECTORS[number, 0] > 0) ^ (at % 2))},"
        f"{'test' if number % 5 == 0 else 'train'}"
        for number in range(20)
        for at, gene in enumerate(GENES)
        if rng.random() < 0.75
    ]
    path = tmp_path / "own-screen.csv"
    path.write_text("pert,gene,label,split\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A vector for each perturbed gene, and for one that the table does not have."""
    genes = [*(f"MED{number + 1}" for number in range(20)), "FOXA1"]
    columns = {f"v{at}": VECTORS[:, at] for at in range(6)}
    path = tmp_path / "vectors.csv"
    pl.DataFrame({"gene": genes, **columns}).write_csv(path)
    return path


def test_a_model_of_a_table_is_kept_scored_asked_and_explained(
    cli, table: Path, vectors: Path, tmp_path: Path
) -> None:
    kept, results = tmp_path / "kept", tmp_path / "r"
    cells = write_toy_h5ad(tmp_path / "cells.h5ad")
    data = ("--dataset", table, "--control-cells", cells)
    # As a bench: the same split, seeds and figures.
    small = ("--model", "dygenept_small", *SETS, "--facets", vectors)
    trained = cli("train", *data, *small, "--output", kept)
    assert trained.code == 0, trained.err
    names = {path.name for path in kept.iterdir() if path.is_file()}
    assert names == {"dygenept.json", "model.json", "model.safetensors"}
    benched = cli("bench", *data, *small, "--results", results, "--json")
    assert benched.code == 0, benched.err
    scored = cli("evaluate", "--checkpoint", kept, "--json")
    assert scored.code == 0, scored.err
    first, second = (json.loads(item.out)["leaderboard"] for item in (benched, scored))
    figures = [{row["metric"]: row["pooled"] for row in rows} for rows in (first, second)]
    assert figures[0] == figures[1]
    assert "auroc_gene" in figures[0]

    path = tmp_path / "p.parquet"
    asked = ("--perturbation", "MED1", "--perturbation", "FOXA1")
    result = cli("predict", "--checkpoint", kept, *asked, "--output", path)
    assert result.code == 0, result.err
    predicted = pl.read_parquet(path)
    assert predicted.columns == [
        "perturbation", "cell_type", "gene_id", "gene", "gene_mean", "predicted", "delta",
        "predicted_sd",
    ]  # fmt: skip
    assert len(predicted) == 2 * len(GENES)
    assert predicted["predicted"].is_between(0.0, 1.0, closed="none").all()

    swept = tmp_path / "all.parquet"
    (tmp_path / "genes.txt").write_text("MED1\nMED2\n")
    arguments = ("--genes", tmp_path / "genes.txt", "--output", swept)
    assert cli("predict", "--checkpoint", kept, *arguments).code == 0
    row = pl.read_parquet(swept).row(0, named=True)
    of_med1 = predicted.filter(pl.col("perturbation") == row["perturbation"])
    np.testing.assert_allclose(
        [row[gene] for gene in of_med1["gene_id"]], of_med1["predicted"], rtol=1e-5
    )

    explained = cli("explain", "--checkpoint", kept, "--perturbation", "MED1", "--json")
    assert explained.code == 0, explained.err
    document = json.loads(explained.out)
    contribution = document["contribution"]
    shares = sum(contribution[f"{kind}_share"] for kind in ("identity", "knowledge", "graph"))
    assert shares == pytest.approx(1.0)
    assert contribution["share_of_steps_added"] > 0
    assert contribution["control_cells"] > 0
    (start,) = document["starts"]
    assert sum(start["shares"].values()) == pytest.approx(1.0)
    said = cli("explain", "--checkpoint", kept, "--perturbation", "MED1").err
    assert "of how alike perturbations are is their own code (identity)" in " ".join(said.split())
    (of_gene,) = document["explanations"]
    assert sum(facet["weight"] for facet in of_gene["facets"]) == pytest.approx(1.0, abs=1e-4)

    # The same from Python.
    model = dygenept.load_model(kept)
    answer = model.predict(["MED1"])
    assert answer.uns["kind"] == "labels"
    assert set(answer.layers) == {"gene_mean", "delta"}
    np.testing.assert_allclose(answer.X[0], of_med1["predicted"], rtol=1e-5)
    assert model.explain(["MED1"]).starts[0].perturbation == answer.obs["perturbation"].iloc[0]

    # What needs cells says so.
    wanted = tmp_path / "state.csv"
    wanted.write_text("gene,expression\nGATA1,1\nKLF1,2\nMYC,0\n")
    refused = cli("rank-perturbations", "--checkpoint", kept, "--target", wanted)
    assert refused.code == 2
    assert "fitted to a table of effects, and this needs cells" in refused.err
    refused = cli("score", "--checkpoint", kept, "--dataset", table, "--results", results)
    assert refused.code == 2
    assert "dygenept evaluate --checkpoint" in refused.err


def test_without_steps_there_is_no_attention_to_explain(cli, table: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    none = ("--set", "table.epochs=0", "--set", "links=[]", "--facets", "identity")
    trained = cli("train", "--dataset", table, *none, "--output", kept)
    assert trained.code == 0, trained.err
    asked = ("explain", "--checkpoint", kept, "--perturbation", "MED1")
    explained = cli(*asked)
    assert explained.code == 0, explained.err
    assert "no attention over facets has a part" in explained.out + explained.err
    said = " ".join((explained.out + explained.err).split())
    assert "no likeness to train perturbations is drawn on: every perturbation is predicted" in said
    # Of a likeness that is not drawn on there are no shares.
    assert "own code (identity)" not in said
    assert "of what steps add is kept" in said
    predicted = cli("predict", "--checkpoint", kept, *asked[3:])
    assert "probabilities of label 1" in predicted.out + predicted.err
    plot = cli(*asked, "--plot", tmp_path / "a.svg")
    assert plot.code == 2
    assert "no attention to plot" in plot.err
    found = json.loads(cli(*asked, "--json").out)
    assert found["contribution"]["identity_share"] == 1.0
    assert found["explanations"] == []
