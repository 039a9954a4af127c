"""What a job's seed and key depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.model.resolve import ResolvedModel, resolve_model
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.environment import Environment
from dygenept.results.store import ResultsStore
from dygenept.runs import keys_and_seeds
from dygenept.runs.keys_and_seeds import fold_seed, job_key, job_seed
from dygenept.runs.run_context import RunContext
from dygenept.testing import toy_data
from dygenept.types import Fold, Split
from dygenept.types.mapping import DataMapping
from dygenept.types.results import Provenance

PLUGIN = Provenance("baselines", "mine", "mine.py", "file", "1", "ab")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> RunContext:
    data = toy_data()
    means = pseudobulk(data)
    labels = tuple(sorted({condition.label for condition in data.conditions}))
    fold = Fold(train=labels[2:], val=(), test=labels[:2])
    folder: Path = tmp_path_factory.mktemp("identity")
    return RunContext(
        environment=Environment.load(data_dir=folder, cache_dir=folder),
        data=data,
        pseudobulk=means,
        de=de_genes(data, means),
        split=Split("kfold", 1, 42, data.sha256, (fold, fold)),
        split_sha256="ab",
        suite="custom",
        store=ResultsStore(folder),
    )


@pytest.fixture(scope="module")
def ridge(context: RunContext) -> ResolvedModel:
    return resolve_model("ridge", context.environment)


def test_seeds_differ_between_runs_suites_folds_and_models(
    context: RunContext, ridge: ResolvedModel
) -> None:
    other = replace(context, split=replace(context.split, seed=43))
    seeds = {
        fold_seed(context, ridge, 0),
        fold_seed(context, ridge, 1),
        fold_seed(context, replace(ridge, base="knn"), 0),
        fold_seed(replace(context, suite="quick@1"), ridge, 0),
        fold_seed(other, ridge, 0),
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_seed_stays_what_it_was() -> None:
    """Recorded results depend on it."""
    assert job_seed(42, "custom", 0, "ridge") == 2033195691
    assert job_seed(42, "a", "bc") != job_seed(42, "ab", "c")


def test_a_key_depends_on_all_that_decides_a_result(
    context: RunContext, ridge: ResolvedModel
) -> None:
    (plugin, *others) = ridge.plugins
    newer = (replace(plugin, version="0"), *others)
    keys = {
        job_key(context, ridge, 0),
        job_key(context, ridge, 1),
        job_key(context, replace(ridge, config={**ridge.config, "alpha": 0.5}), 0),
        job_key(context, replace(ridge, plugins=newer), 0),
        job_key(replace(context, suite="quick@1"), ridge, 0),
        job_key(replace(context, split_sha256="cd"), ridge, 0),
        job_key(replace(context, de=replace(context.de, name="other")), ridge, 0),
        job_key(replace(context, data=replace(context.data, sha256="ef")), ridge, 0),
    }
    assert len(keys) == 8


def test_a_key_does_not_depend_on_where_a_job_runs(
    context: RunContext, ridge: ResolvedModel
) -> None:
    elsewhere = replace(context, device="cuda:1", keep_predictions=False, resume=False)
    assert job_key(elsewhere, ridge, 0) == job_key(context, ridge, 0)


def key(plugin: Provenance = PLUGIN) -> str:
    """Name the job of a model of one plugin; whatever else a key depends on stays the same."""
    context: Any = SimpleNamespace(
        suite="custom",
        data=SimpleNamespace(sha256="data", mapping=DataMapping()),
        split_sha256="split",
        split=SimpleNamespace(seed=1),
        de=SimpleNamespace(name="list"),
    )
    model: Any = SimpleNamespace(base="mine", config={}, plugins=(plugin,), trained_by="")
    return job_key(context, model, 0)


def test_an_edit_of_a_plugins_code_gives_another_key() -> None:
    assert key() == key()
    assert key(replace(PLUGIN, code_sha256="cd")) != key()
    assert key(replace(PLUGIN, version="2")) != key()


def test_an_edit_of_the_projects_code_gives_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    edited = replace(project_code(), sha256="edited")
    monkeypatch.setattr(keys_and_seeds, "project_code", lambda: edited)
    assert key() != before


def test_a_commit_that_changes_no_code_gives_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    committed = replace(project_code(), commit="f" * 40, is_dirty=False)
    monkeypatch.setattr(keys_and_seeds, "project_code", lambda: committed)
    assert key() == before
