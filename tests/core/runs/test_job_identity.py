from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dygenept.plugin.code_identity import project_code
from dygenept.runs import job_identity
from dygenept.runs.job_identity import job_key
from dygenept.types.provenance import Provenance

PLUGIN = Provenance("baselines", "mine", "mine.py", "file", "1", "ab")


def key(plugin: Provenance = PLUGIN) -> str:
    """Name the job of a model of one plugin; whatever else a key depends on stays the same."""
    context: Any = SimpleNamespace(
        suite="custom",
        data=SimpleNamespace(sha256="data"),
        split_sha256="split",
        split=SimpleNamespace(seed=1),
        de=SimpleNamespace(name="list"),
    )
    model: Any = SimpleNamespace(base="mine", config={}, plugins=(plugin,))
    return job_key(context, model, 0)


def test_an_edit_of_a_plugins_code_gives_another_key() -> None:
    assert key() == key()
    assert key(replace(PLUGIN, code_sha256="cd")) != key()
    assert key(replace(PLUGIN, version="2")) != key()


def test_an_edit_of_the_projects_code_gives_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    edited = replace(project_code(), sha256="edited")
    monkeypatch.setattr(job_identity, "project_code", lambda: edited)
    assert key() != before


def test_a_commit_that_changes_no_code_gives_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    committed = replace(project_code(), commit="f" * 40, is_dirty=False)
    monkeypatch.setattr(job_identity, "project_code", lambda: committed)
    assert key() == before
