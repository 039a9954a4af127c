"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer, serving

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of data that may not ship, beside the checkout; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no folder {SHARED_DATA}: this test reads real data that does not ship")
    return SHARED_DATA


@pytest.fixture(scope="session")
def norman_subset(shared_data: Path) -> Path:
    """The real Norman subset: 3,375 cells × 250 genes in GEARS' layout."""
    return shared_data / "norman_subset" / "perturb_processed.h5ad"


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Computed knowledge, shared by all tests and workers so that a text is embedded once."""
    folder = tmp_path_factory.getbasetemp()
    # Each worker of pytest-xdist has a folder of its own below the run's.
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return folder / "computed"


@pytest.fixture(autouse=True, scope="module")
def looks_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """Look files over in this process, where what is tested is not how files are read.

    The child that does so else is a copy of the process of all tests, which takes five times as
    long as the look. Tests of reading, damaged files and whole commands have it.
    """
    from dygenept.data.reading import look_over

    with pytest.MonkeyPatch.context() as patch:
        if not {"data", "fuzz"} & set(request.path.parts):
            patch.setattr(look_over, "_findings_of_child", look_over._findings)
        yield


@pytest.fixture
def few_tuning_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune facets for a few steps at most, where something else is tested."""
    from dygenept.model.start import facet_tuning

    monkeypatch.setattr(facet_tuning, "CHECKPOINTS", (0, 5))


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A server on this machine that answers as scripted; asked again without long waits."""
    from dataclasses import replace

    from dygenept.machine import download

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(download, "LIMITS", replace(download.LIMITS, base_s=0.01, slow_s=0.2))
    with serving() as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests: one that begins last keeps its worker on alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: they may contain the time, and processes must agree."""
    return argname if isinstance(val, bytes) else None
