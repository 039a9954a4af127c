from __future__ import annotations

import os
import sys
from importlib import metadata

import pytest

from dygenept.machine.versions import installed_versions, thread_counts


def test_versions_name_every_library_that_numbers_depend_on() -> None:
    found = installed_versions()
    for name in ("numpy", "scipy", "torch", "polars", "scikit-learn", "pandas", "anndata"):
        assert found[name] == metadata.version(name)
    assert found["python"] == sys.version.split()[0]


def test_thread_counts_say_what_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_counts()["OMP_NUM_THREADS"] == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_counts()["OMP_NUM_THREADS"] is None
    assert thread_counts()["processors"] == len(os.sched_getaffinity(0))


def test_torch_is_counted_only_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert thread_counts()["torch"] == torch.get_num_threads()
    monkeypatch.delitem(sys.modules, "torch")
    assert "torch" not in thread_counts()
    assert "torch" not in sys.modules
