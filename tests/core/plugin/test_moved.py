from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from dygenept.plugin.manager import PluginManager
from dygenept.plugin.moved import MOVED, new_home


def failure(tmp_path: Path, body: str) -> str:
    path = tmp_path / "old_plugin.py"
    path.write_text(body)
    return PluginManager.load(files=[path], entry_points=False).failures[str(path)]


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        (
            "from dygenept.hookspecs import hookimpl",
            "dygenept.hookspecs has moved: import what plugins need from dygenept.plugin",
        ),
        (
            "from dygenept.interfaces.networks import DecoderContext",
            "dygenept.interfaces has moved: import what plugins need from dygenept.plugin",
        ),
        (
            "import dygenept.knowledge.graph_source",
            "dygenept.knowledge.graph_source has moved: import it from "
            "dygenept.knowledge.graph.file_source",
        ),
        (
            "from dygenept.knowledge.facets import FACETS",
            "dygenept.knowledge.facets has moved: import what plugins need from dygenept.types",
        ),
    ],
)
def test_a_plugin_that_imports_an_old_path_is_told_the_new_one(
    tmp_path: Path, body: str, advice: str
) -> None:
    assert failure(tmp_path, body).endswith(f"; {advice}")


def test_other_failures_get_no_advice(tmp_path: Path) -> None:
    assert "moved" not in failure(tmp_path, "import no_such_library_at_all")
    assert "moved" not in failure(tmp_path, "from dygenept.errors import NoSuchError")
    assert new_home(ImportError("without a name")) is None


@pytest.mark.parametrize("old", sorted(MOVED))
def test_the_new_path_exists(old: str) -> None:
    assert importlib.util.find_spec(MOVED[old]) is not None


@pytest.mark.parametrize("old", sorted(MOVED))
def test_the_old_path_is_gone_or_has_become_a_room(old: str) -> None:
    try:
        spec = importlib.util.find_spec(old)
    except ModuleNotFoundError:
        spec = None
    assert spec is None or spec.submodule_search_locations
