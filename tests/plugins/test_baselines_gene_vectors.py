"""Vectors of genes that embedding models read: files, pooled facets, genes outside a screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.knowledge.gene_embedding import gene_embedding, pooled
from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.model.knowledge import RegistryKnowledge
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import Model
from dygenept.plugin.interfaces.offers import notes_of
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing.toy import toy_task
from dygenept.types import Condition, DoubleArray, GeneKnowledge, Perturbation, Runtime, Task
from dygenept_plugins.baselines import gp, knn, linear, linear_loo, ridge

SPECS: dict[str, BaselineSpec] = {
    spec.name: spec
    for module in (linear, linear_loo, ridge, knn, gp)
    for spec in module.dygenept_baselines()
}


def fitted(name: str, task: Task, **options: object) -> Model:
    spec = SPECS[name]
    model = spec.factory(spec.config.model_validate(options))
    model.fit(task)
    return model


def test_facets_are_pooled_by_confidence_or_side_by_side() -> None:
    knowledge = GeneKnowledge(
        name="k",
        sha256="",
        genes=("A", "B"),
        facet_names=("x", "y"),
        values=np.array([[[1, 0], [0, 4]], [[0, 0], [0, 0]]], dtype=np.float32),
        confidence=np.array([[1.0, 0.5], [0, 0]], dtype=np.float32),
    )
    mean = pooled(knowledge)
    np.testing.assert_allclose(mean.values, [[2 / 3, 4 / 3], [0, 0]], atol=1e-6)
    assert mean.unknown() == ("B",)
    np.testing.assert_allclose(pooled(knowledge, pooling="concat").values[0], [1, 0, 0, 2])
    both = Condition(Perturbation("A+B", ("A", "B")), "K562")
    np.testing.assert_allclose(mean.of((both,)), mean.values[:1])


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv", ".tsv", ".safetensors"])
def test_an_embedding_is_read_from_any_of_the_file_formats(tmp_path: Path, suffix: str) -> None:
    import polars as pl

    vectors = np.array([[1.5, 2.0], [0.25, -3.0]])
    path = tmp_path / f"vectors{suffix}"
    frame = pl.DataFrame({"gene": ["KLF1", "MAP3K21"], "a": vectors[:, 0], "b": vectors[:, 1]})
    if suffix == ".npz":
        np.savez(path, genes=np.array(["KLF1", "MAP3K21"]), embedding=vectors)
    elif suffix == ".parquet":
        frame.write_parquet(path)
    elif suffix == ".safetensors":
        ones = np.ones((2, 1), dtype=np.float32)
        values = vectors.astype(np.float32)[:, None]
        write_knowledge(GeneKnowledge("k", "s", ("KLF1", "MAP3K21"), ("f",), values, ones), path)
    else:
        frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    registry = load_registry()
    manager = PluginManager.load(registry.plugins, entry_points=False)
    reader = RegistryKnowledge(Environment(registry=registry, manager=manager))
    # KIAA1804 is an outdated symbol of MAP3K21.
    read = gene_embedding(str(path), ("KIAA1804", "NOSUCH", "KLF1"), Runtime(knowledge=reader))
    np.testing.assert_allclose(read.values, [vectors[1], [0, 0], vectors[0]])
    assert read.unknown() == ("NOSUCH",)


def test_bad_embeddings_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="no file of gene vectors"):
        gene_embedding(str(tmp_path / "none.npz"), ("A",), Runtime())
    (tmp_path / "text.csv").write_text("gene,a\nKLF1,much\n")
    with pytest.raises(DataError, match="expected one column of genes"):
        gene_embedding(str(tmp_path / "text.csv"), ("A",), Runtime())
    (tmp_path / "twice.csv").write_text("gene,a\nKLF1,1\nKLF1,2\n")
    with pytest.raises(DataError, match="names the gene 'KLF1' twice"):
        gene_embedding(str(tmp_path / "twice.csv"), ("A",), Runtime())
    with pytest.raises(ConfigError, match="Runtime\\(knowledge="):
        gene_embedding("go_minilm", ("A",), Runtime())


@pytest.mark.parametrize("name", ["linear", "linear_loo", "ridge", "knn", "gp"])
def test_a_gene_outside_the_screen_is_predicted_from_its_vector(name: str, tmp_path: Path) -> None:
    task, _ = toy_task()
    rng = np.random.default_rng(0)
    vectors = {gene: rng.normal(size=4) for gene in (*task.target_genes, "RUNX2")}
    first, second = task.known[0].genes[0], "RUNX2"
    vectors["FOXA1"] = vectors[first]
    path = tmp_path / "vectors.tsv"
    lines = ["\t".join([gene, *map(repr, map(float, of))]) for gene, of in vectors.items()]
    path.write_text("\n".join(["\t".join(["gene", "a", "b", "c", "d"]), *lines]) + "\n")
    options = {
        "linear": {},
        "linear_loo": {},
        "ridge": {"alpha": 0.1},
        "knn": {"n_neighbors": 2},
        "gp": {},
    }[name]
    model = fitted(name, task, embedding=str(path), **options)

    def change(*genes: str) -> DoubleArray:
        asked = Condition(Perturbation("+".join(genes), genes), task.cell_types[0])
        return model.predict((asked,)).expression[0]

    before = change(first)
    np.testing.assert_allclose(change("FOXA1"), before, atol=1e-12)
    assert np.abs(change(second) - before).max() > 0.01
    assert np.abs(change("FOXA1", second) - before).max() > 0.01
    np.testing.assert_array_equal(change(first), before)
    change("NOTAGENE")
    assert "NOTAGENE" in notes_of(model)[-1]
