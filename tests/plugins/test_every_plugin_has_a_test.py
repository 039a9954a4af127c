"""A hook kind or a built-in plugin without a test, a check or a template fails here."""

from __future__ import annotations

import functools
import importlib
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
    "effect_metrics": "check_effect_metric",
    "facet_writers": "check_facet_writer",
    "gene_encoders": "check_gene_encoder",
    "kg_sources": "check_kg_source",
    "metrics": "check_metric",
    "splits": "check_split",
    "text_encoders": "check_text_encoder",
}


@functools.cache
def built_ins() -> PluginManager:
    return PluginManager.load(load_registry().plugins, entry_points=False)


def built_in_names() -> list[tuple[str, str]]:
    return [
        (spec_class.kind, spec.name)
        for spec_class in SPEC_CLASSES
        for spec in built_ins().specs(spec_class)
    ]


def owner_of(kind: str, name: str) -> str:
    return built_ins().provenance(kind, name).owner


def modules_of(kind: str) -> list[Path]:
    """Plugin modules and packages; a leading underscore marks code that plugins share."""
    paths = (
        *(PACKAGE / kind).glob("*.py"),
        *(path.parent for path in (PACKAGE / kind).glob("*/__init__.py")),
    )
    return [path for path in sorted(paths) if path.stem[0] != "_"]


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


@pytest.mark.parametrize(("kind", "name"), built_in_names(), ids=str)
def test_a_plugins_file_is_found_by_the_plugins_name(kind: str, name: str) -> None:
    """A file is named as its plugin, begins its plugins' names, or lists them in its docstring."""
    module = owner_of(kind, name)
    stem = module.rpartition(".")[2]
    docstring = importlib.import_module(module).__doc__ or ""
    assert f"{name}_".startswith(f"{stem}_") or f"``{name}``" in docstring


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_of_a_kind_has_a_plugin(kind: str) -> None:
    owners = {owner_of(kind, name) for of, name in built_in_names() if of == kind}
    assert owners == {f"dygenept_plugins.{kind}.{path.stem}" for path in modules_of(kind)}


@pytest.mark.parametrize(("kind", "name"), built_in_names(), ids=str)
def test_every_built_in_plugin_is_named_in_a_test_of_its_kind(kind: str, name: str) -> None:
    pattern = re.compile(rf"\b{re.escape(name)}\b")
    files = sorted(TESTS.glob(f"test_{kind}*.py"))
    assert any(pattern.search(path.read_text(encoding="utf-8")) for path in files), (
        f"no tests/plugins/test_{kind}*.py names {name!r}"
    )
