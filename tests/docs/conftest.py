"""A folder with the small files that documentation speaks of, and cheap models."""

from __future__ import annotations

import functools
import gzip
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from dygenept.testing import write_toy_h5ad
from dygenept.testing.toy import ToyShape

if TYPE_CHECKING:
    import anndata

    from dygenept.plugin.environment import Environment
    from dygenept.runs.default_models import ModelChoice
    from dygenept.runs.suites import Suite

SHAPE = ToyShape(n_genes=30, n_cells=6, n_controls=30, n_doubles=3)
GENES = ("KLF1", "CEBPA", "MAPK1", "TP53", "CDK1", "JUN", "BAK1")
SMALL_MODEL = {
    "facets": "go_tfidf",
    "width": 16,
    "cell_encoder": {"n_layers": 1, "d_model": 16, "n_heads": 4, "max_length": 16},
    "decoder": {"hidden_dims": [16], "interaction_rank": 2},
    "training": {"epochs": 1, "steps_per_epoch": 1},
}
FEW = ("control_mean", "perturbed_mean")
Shell = Callable[[Sequence[str]], int]


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files once: a screen, a registry, a table of effects, predictions."""
    folder = tmp_path_factory.mktemp("documented")
    write_toy_h5ad(folder / "screen.h5ad", SHAPE)
    write_registry(folder)
    (folder / "genes.txt").write_text("\n".join(GENES) + "\n")
    rows = ["perturbation,gene,log2fc"]
    for number, target in enumerate(GENES):
        rows += [f"{target},{gene},{(number * 7 + k * 5) % 11 - 5}" for k, gene in enumerate(GENES)]
    (folder / "effects.csv").write_text("\n".join(rows) + "\n")
    (folder / "table.csv.gz").write_bytes(gzip.compress((folder / "effects.csv").read_bytes()))
    write_variants(folder)
    return folder


def write_registry(folder: Path) -> None:
    """Write the bundled registry with names of large things for small ones."""
    from dygenept.knowledge.store.knowledge_files import write_knowledge
    from dygenept.plugin.registry import bundled_registry_path, merge
    from dygenept.plugin.yaml_files import read_yaml
    from dygenept.testing import toy_knowledge

    write_knowledge(toy_knowledge(), folder / "small.safetensors")
    document = dict(read_yaml(bundled_registry_path()))
    screen = {"source": "file", "path": str(folder / "screen.h5ad")}
    document["datasets"] |= {"norman": screen, "k562": screen}
    knowledge = {"summary": "small", "file": str(folder / "small.safetensors")}
    document["facets"] |= {"go_tfidf": knowledge, "go_minilm": knowledge}
    changes = {"models": {"dygenept_small": SMALL_MODEL}, "defaults": {"n_folds": 2}}
    (folder / "registry.yaml").write_text(yaml.safe_dump(merge(document, changes)))


def few_models(environment: Environment, *, effects: bool = False) -> ModelChoice:
    """Return what runs where no model is named: fewer than there are."""
    from dygenept.runs.default_models import ModelChoice

    return ModelChoice(("gene_mean",) if effects else FEW, "no --model given")


def write_variants(folder: Path) -> None:
    """Write the screen with guides, with counts in a layer, and its means as predictions."""
    import anndata
    import polars as pl

    adata = anndata.read_h5ad(folder / "screen.h5ad")
    labels = adata.obs["condition"].astype(str).str.replace("ctrl+", "").str.replace("+ctrl", "")
    guides = adata.copy()
    guides.obs["guide"] = [
        "safe" if label == "ctrl" else "+".join(f"{gene}_1" for gene in label.split("+"))
        for label in labels
    ]
    del guides.obs["condition"]
    guides.write_h5ad(folder / "guides.h5ad")
    counts = adata.copy()
    counts.layers["counts"] = counts.X.expm1().rint()
    counts.obs["line"] = "k562"
    counts.write_h5ad(folder / "counts.h5ad")
    names = sorted(set(labels) - {"ctrl"})
    means = [adata.X[(labels == name).to_numpy()].mean(axis=0).A1 for name in names]
    table = pl.DataFrame(means, schema=list(adata.var_names), orient="row")
    table.insert_column(0, pl.Series("perturbation", names)).write_csv(folder / "mine.csv")
    predictions = anndata.AnnData(np.array(means, dtype=np.float32), var=adata.var)
    predictions.obs["perturbation"] = names
    predictions.write_h5ad(folder / "mine.h5ad")


@pytest.fixture
def in_another_layout(small_files: Path) -> anndata.AnnData:
    """A screen whose columns are named otherwise, as docs/api.md has them."""
    import anndata

    adata = anndata.read_h5ad(small_files / "screen.h5ad")
    labels = adata.obs.pop("condition").astype(str)
    genes = labels.str.replace("+ctrl", "").str.replace("ctrl+", "").str.replace("+", "_")
    adata.obs["gene"] = genes.replace("ctrl", "non-targeting")
    adata.obs["cell_line"] = adata.obs.pop("cell_type").astype(str)
    adata.var["feature_name"] = adata.var.pop("gene_name")
    adata.layers["log1p"] = adata.X.copy()
    return adata


def small_suite(name: str) -> Suite:
    """Return a bundled suite with few models on the small screen."""
    from dygenept.runs.suites import load_suite

    root = Path(__file__).parents[2] / "benchmarks" / "dygenept_benchmarks"
    suite = load_suite(name, root)
    changes = {"datasets": ("norman",), "scale": None, "n_folds": 2, "models": FEW}
    return suite.model_copy(update=changes)


@pytest.fixture(scope="session")
def small_tfidf() -> Callable[[object], object]:
    """Return the fit of the encoder ``tfidf``, on a few hundred texts instead of all."""
    from dygenept_plugins.text_encoders import tfidf

    fit: Callable[[object], object] = tfidf._fitted.__wrapped__
    corpus = tfidf._corpus

    @functools.cache
    def fitted(config: object) -> object:
        tfidf._corpus = lambda: corpus()[::50]
        try:
            return fit(config)
        finally:
            tfidf._corpus = corpus

    return fitted


@pytest.fixture
def workplace(
    tmp_path: Path,
    small_files: Path,
    small_tfidf: Callable[[object], object],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Be in a folder with copies of the small files, where names mean small data."""
    from dygenept.model.start import facet_tuning
    from dygenept.plugin import registry
    from dygenept.runs import default_models
    from dygenept_cli import bundled
    from dygenept_plugins.text_encoders import tfidf

    for path in small_files.iterdir():
        if path.suffix not in (".yaml", ".safetensors"):
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path / "data"))
    # Not the folder that other tests share: texts are embedded otherwise here.
    monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path_factory.getbasetemp() / "documented-home"))
    monkeypatch.setattr(tfidf, "_fitted", small_tfidf)
    monkeypatch.setattr(facet_tuning, "MIN_CONDITIONS", 10**6)
    monkeypatch.delenv("DYGENEPT_REGISTRY", raising=False)
    monkeypatch.setattr(registry, "bundled_registry_path", lambda: small_files / "registry.yaml")
    monkeypatch.setattr(default_models, "default_models", few_models)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(bundled, "bundled_suite", small_suite)
    return tmp_path


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Return a function that runs one ``dygenept`` command in this process."""
    from dygenept_cli.main import run

    def call(arguments: Sequence[str]) -> int:
        monkeypatch.setattr(sys, "argv", list(arguments))
        try:
            run()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call
