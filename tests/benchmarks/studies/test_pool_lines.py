"""Tables of several cell lines pooled, and the models that read some sources of knowledge alone."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import pool_lines
import pytest

import dygenept as dg
from dygenept.knowledge.store.knowledge_files import read_knowledge
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench

PERTURBED = ("KLF1", "GATA1", "TAL1", "MYC", "MAX", "TP53", "MDM2", "JUN", "FOS", "EGR1")
MEASURED = ("HBB", "HBA1", "CDKN1A", "CCND1")
REGISTRY = Path(pool_lines.__file__).with_name("graphs.yaml")


def written(folder: Path, name: str, held_out: tuple[str, ...]) -> str:
    """Write a line's table; return what the command line takes."""
    rng = np.random.default_rng(len(name))
    rows = [
        {"pert": pert, "gene": gene, "label": label, "split": split}
        for pert in PERTURBED
        for gene, label in zip(MEASURED, rng.integers(0, 2, len(MEASURED)).tolist(), strict=True)
        for split in ("test" if pert in held_out else "train",)
    ]
    pl.DataFrame(rows).write_csv(folder / f"{name}.csv")
    return f"{name}={folder / name}.csv"


def test_what_one_line_holds_out_is_held_out_of_all(tmp_path: Path) -> None:
    lines = [written(tmp_path, "k562", ("MYC", "JUN")), written(tmp_path, "rpe1", ("TP53",))]
    pool_lines.main([str(tmp_path / "new"), *lines])
    data = dg.load_dataset(tmp_path / "new" / "pooled.csv")
    assert data.cell_types == ("k562", "rpe1")
    table = pl.read_csv(tmp_path / "new" / "pooled.csv")
    assert len(table) == 2 * len(PERTURBED) * len(MEASURED)
    tested = table.filter(pl.col("split") == "test")
    assert set(tested["pert"]) == {"MYC", "JUN", "TP53"}
    assert len(tested) == 3 * 2 * len(MEASURED)
    knowledge = read_knowledge(tmp_path / "new" / "nothing.safetensors")
    assert set(knowledge.genes) == {*PERTURBED, *MEASURED}
    assert not knowledge.confidence.any()


@pytest.mark.slow
def test_models_read_the_sources_that_they_are_named_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool_lines.main([str(tmp_path), written(tmp_path, "k562", ("MYC", "JUN", "TP53"))])
    monkeypatch.chdir(tmp_path)
    environment = Environment.load(registries=[REGISTRY])
    models = ("facets_alone", "with_string", "graphs_alone", "string_alone")
    request = BenchRequest(
        dataset="pooled.csv", models=models, metrics=("auroc_gene",), results=Path("results")
    )
    chosen = {record.model: record.chosen for record in run_bench(request, environment).records}
    sources = {
        model: {word.split()[0] for word in str(found["sources"]).split(", ")}
        for model, found in chosen.items()
    }
    assert sources["facets_alone"] <= {"facets"}
    assert sources["with_string"] <= {"facets", "string"}
    assert chosen["graphs_alone"]["knowledge_share"] == 0
    assert "string" in sources["string_alone"]
    assert not {"go", "biogrid", "reactome"} & sources["string_alone"]
    assert {"go", "string", "biogrid", "reactome"} <= sources["graphs_alone"]


@pytest.mark.parametrize("text", ["k562.csv", "=k562.csv", "k562="])
def test_a_line_without_a_name_or_file_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=FILE"):
        pool_lines.line(text)
