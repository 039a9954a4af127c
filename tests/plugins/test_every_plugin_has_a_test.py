"""A hook kind or a built-in plugin without a test, a check or a template fails here."""

from __future__ import annotations

import inspect
import re
from importlib import resources
from pathlib import Path

import pytest

import dygenept_plugins
from dygenept import testing
from dygenept.plugin import hookspecs
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import KINDS, SPEC_CLASSES

PACKAGE = Path(next(iter(dygenept_plugins.__path__)))
TESTS = Path(__file__).parent
CHECKS = {
    "attention": "check_attention",
    "baselines": "check_baseline",
    "cell_encoders": "check_cell_encoder",
    "datasets": "check_dataset",
    "decoders": "check_decoder",
    "facet_writers": "check_facet_writer",
    "gene_encoders": "check_gene_encoder",
    "kg_sources": "check_kg_source",
    "metrics": "check_metric",
    "splits": "check_split",
    "text_encoders": "check_text_encoder",
}


def built_in_names() -> list[tuple[str, str]]:
    manager = PluginManager.load(load_registry().plugins, entry_points=False)
    return [
        (spec_class.kind, spec.name)
        for spec_class in SPEC_CLASSES
        for spec in manager.specs(spec_class)
    ]


def modules_of(kind: str) -> list[Path]:
    """Plugin modules; a leading underscore marks code that plugins share."""
    return [path for path in sorted((PACKAGE / kind).glob("*.py")) if path.stem[0] != "_"]


def test_every_kind_has_a_hook_a_check_a_template_and_a_folder() -> None:
    hooks = {
        name.removeprefix("dygenept_")
        for name, value in inspect.getmembers(hookspecs, inspect.isfunction)
        if name.startswith("dygenept_")
    }
    assert hooks == set(KINDS) == set(CHECKS)
    for kind, check in CHECKS.items():
        assert check in testing.__all__
        assert resources.files("dygenept_cli").joinpath("templates", f"{kind}.py.txt").is_file()
        assert (PACKAGE / kind / "__init__.py").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_of_a_kind_is_in_the_registry(kind: str) -> None:
    listed = set(load_registry().plugins)
    found = {f"dygenept_plugins.{kind}.{path.stem}" for path in modules_of(kind)}
    assert found == {module for module in listed if module.split(".")[1] == kind}


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_of_a_kind_is_named_as_its_file_or_begins_with_its_name(kind: str) -> None:
    names = {name for of, name in built_in_names() if of == kind}
    stems = {path.stem for path in modules_of(kind)}
    for stem in stems:
        assert stem in names or any(name.startswith(f"{stem}_") for name in names)
    assert all(any(f"{name}_".startswith(f"{stem}_") for stem in stems) for name in names)


@pytest.mark.parametrize(("kind", "name"), built_in_names(), ids=str)
def test_every_built_in_plugin_is_named_in_a_test_of_its_kind(kind: str, name: str) -> None:
    pattern = re.compile(rf"\b{re.escape(name)}\b")
    files = sorted(TESTS.glob(f"test_{kind}*.py"))
    assert any(pattern.search(path.read_text(encoding="utf-8")) for path in files), (
        f"no tests/plugins/test_{kind}*.py names {name!r}"
    )
