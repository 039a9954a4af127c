from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dygenept import __version__
from dygenept.errors import ConfigError, PluginError
from dygenept.plugin.code_identity import sources_sha256
from dygenept.plugin.loading import Origin, file_candidate
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import KINDS, AttentionSpec, MetricSpec, SplitSpec
from dygenept.types.results import Provenance

ATTENTION = """
from pydantic import Field

from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import AttentionSpec, PluginConfig


class Config(PluginConfig):
    num_heads: int = Field(default=8, ge=1)


def build(config, width):
    return None


@hookimpl
def dygenept_attention():
    return [
        AttentionSpec(
            name="{name}", summary="A test.", source="this project", config=Config, factory=build
        )
    ]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, module: str, body: str) -> Path:
    path = folder / f"{module}.py"
    path.write_text(body)
    return path


def attention(name: str) -> str:
    return ATTENTION.replace("{name}", name)


def load(*modules: str, files: tuple[Path, ...] = ()) -> PluginManager:
    return PluginManager.load(modules, files=files, entry_points=False)


def refused(body: str) -> str:
    """Register a module with this body and return the error."""
    module = ModuleType("made_up_plugin")
    exec(compile(body, "made_up_plugin.py", "exec"), module.__dict__)
    with pytest.raises(PluginError) as caught:
        PluginManager().register(module, Origin("made_up_plugin", "made_up", "1"))
    return str(caught.value)


def test_there_are_twelve_kinds() -> None:
    assert len(set(KINDS)) == 12


def test_a_module_gives_its_plugins(package: Path) -> None:
    write(package, "plugin_one", attention("one"))
    manager = load("plugin_one")
    assert manager.names("attention") == ("one",)
    assert manager.get(AttentionSpec, "one").name == "one"
    assert [spec.name for spec in manager.specs(AttentionSpec)] == ["one"]
    assert manager.specs(MetricSpec) == ()


def test_a_module_of_no_distribution_has_its_hash_as_version(package: Path) -> None:
    path = write(package, "plugin_one", attention("one"))
    origin = load("plugin_one").provenance("attention", "one")
    assert origin.distribution == "unknown"
    assert origin.version == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_module_listed_twice_is_registered_once(package: Path) -> None:
    write(package, "plugin_one", attention("one"))
    assert load("plugin_one", "plugin_one").names("attention") == ("one",)


def test_a_duplicate_name_is_an_error_that_names_both_owners(package: Path) -> None:
    write(package, "plugin_one", attention("same"))
    write(package, "plugin_two", attention("same"))
    with pytest.raises(PluginError) as caught:
        load("plugin_one", "plugin_two")
    assert "plugin_one" in str(caught.value)
    assert "plugin_two" in str(caught.value)
    assert "'same'" in str(caught.value)


def test_a_duplicate_leaves_none_of_the_second_module(package: Path) -> None:
    manager = PluginManager()
    write(package, "plugin_one", attention("same"))
    body = attention("same").replace("return [", "return [make('fresh'),")
    body += (
        "\ndef make(name):\n    return AttentionSpec("
        "name=name, summary='A test.', source='this project', factory=build)\n"
    )
    manager.register(*file_candidate(package / "plugin_one.py").load())
    second = file_candidate(write(package, "plugin_two", body)).load()
    with pytest.raises(PluginError, match="same"):
        manager.register(*second)
    assert manager.names("attention") == ("same",)


def test_the_same_name_in_two_kinds_is_allowed(package: Path) -> None:
    body = attention("mean").replace("attention", "splits").replace("AttentionSpec", "SplitSpec")
    write(package, "plugin_one", attention("mean"))
    write(package, "plugin_two", body)
    manager = load("plugin_one", "plugin_two")
    assert manager.get(AttentionSpec, "mean").kind == "attention"
    assert manager.get(SplitSpec, "mean").kind == "splits"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import no_such_library_at_all", "ModuleNotFoundError"),
        ("this is no python", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("from dygenept.errors import PluginError\nraise PluginError('broken')", "PluginError"),
        (attention("x").replace("return [", "return 1 / 0, ["), "ZeroDivisionError"),
    ],
)
def test_a_plugin_that_fails_is_named_and_the_others_survive(
    package: Path, body: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(package, "broken_plugin", body)
    write(package, "sound_plugin", attention("sound"))
    with caplog.at_level(logging.WARNING):
        manager = load("broken_plugin", "sound_plugin")
    assert manager.names("attention") == ("sound",)
    assert set(manager.failures) == {"broken_plugin"}
    assert manager.failures["broken_plugin"].startswith(reason)
    assert "broken_plugin" in caplog.text


def test_a_module_that_does_not_exist_is_named_in_later_errors(package: Path) -> None:
    manager = load("no_such_plugin_module")
    with pytest.raises(PluginError, match="left out, failed to import: no_such_plugin_module"):
        manager.get(AttentionSpec, "sparsemax")


def test_a_misspelt_hook_is_an_error_with_the_nearest_name() -> None:
    body = attention("one").replace("dygenept_attention", "dygenept_atention")
    assert "did you mean 'dygenept_attention'?" in refused(body)


def test_a_misspelt_hook_without_its_decorator_is_an_error() -> None:
    body = attention("one").replace("@hookimpl\ndef dygenept_attention", "def dygenept_atention")
    assert "did you mean 'dygenept_attention'?" in refused(body)


def test_an_undecorated_hook_is_an_error_that_says_so() -> None:
    assert "decorate it with @hookimpl" in refused(attention("one").replace("@hookimpl\n", ""))


def test_a_decorated_function_without_the_prefix_is_an_error() -> None:
    assert "no hook is called" in refused(
        attention("one").replace("dygenept_attention", "attention")
    )


def test_a_hook_with_arguments_is_an_error() -> None:
    body = attention("one").replace("dygenept_attention()", "dygenept_attention(config)")
    assert "must take no arguments" in refused(body)


def test_a_module_without_a_hook_is_an_error() -> None:
    assert "has no hook" in refused("VALUE = 1\n")


@pytest.mark.parametrize(
    ("returned", "found"),
    [("None", "NoneType"), ("'sparsemax'", "str"), ("[Config()]", "Config"), ("{}", "dict")],
)
def test_a_hook_that_returns_no_list_of_specs_is_an_error(returned: str, found: str) -> None:
    head, _, _ = attention("one").partition("    return [")
    message = refused(f"{head}    return {returned}\n")
    assert "must return a list of AttentionSpec" in message
    assert f"got {found}" in message


def test_a_spec_of_another_kind_is_an_error() -> None:
    body = attention("one").replace("dygenept_attention", "dygenept_splits")
    assert "must return a list of SplitSpec, got AttentionSpec" in refused(body)


@pytest.mark.parametrize("name", ["CamelCase", "with-dash", "_private", "9th", "", "ünï"])
def test_a_name_that_is_not_lower_snake_case_is_an_error(name: str) -> None:
    assert "is not lower snake case" in refused(attention(name))


@pytest.mark.parametrize(
    ("field", "found"), [("name=3", "name 3"), ("config=dict", "PluginConfig")]
)
def test_a_spec_whose_name_or_config_is_something_else_is_an_error(field: str, found: str) -> None:
    fields = {"name": "name='one'"} | {field.split("=")[0]: field}
    given = ", ".join(fields.values())
    body = (
        "from dygenept.plugin.hookspecs import hookimpl\n"
        "from dygenept.plugin.specs import AttentionSpec\n"
        "@hookimpl\n"
        "def dygenept_attention():\n"
        f"    return [AttentionSpec({given}, summary='One.', source='this test', factory=int)]\n"
    )
    told = refused(body)
    assert told.startswith("made_up_plugin: ")
    assert found in told


def test_a_hook_of_an_imported_module_is_not_taken_for_a_misspelling(package: Path) -> None:
    write(package, "shared_code", "def dygenept_version():\n    return 1\n")
    write(package, "plugin_one", "from shared_code import dygenept_version\n" + attention("one"))
    assert load("plugin_one").names("attention") == ("one",)


def test_a_single_file_is_a_plugin_with_its_hash_as_version(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", attention("mine"))
    manager = load(files=(path,))
    assert manager.provenance("attention", "mine") == Provenance(
        kind="attention",
        name="mine",
        owner=str(path),
        distribution="file",
        version=hashlib.sha256(path.read_bytes()).hexdigest(),
        code_sha256=sources_sha256({"mine.py": path}),
    )


def test_a_file_given_twice_is_registered_once(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", attention("mine"))
    assert load(files=(path, path)).names("attention") == ("mine",)


def test_two_files_of_the_same_name_are_two_plugins(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = write(tmp_path / "a", "mine", attention("first"))
    second = write(tmp_path / "b", "mine", attention("second"))
    assert load(files=(first, second)).names("attention") == ("first", "second")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no plugin file"):
        load(files=(tmp_path / "absent.py",))


def test_a_file_that_is_not_python_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(PluginError, match="not a Python file"):
        load(files=(path,))


def test_a_broken_file_is_left_out_and_forgotten(tmp_path: Path) -> None:
    path = write(tmp_path, "broken", "import no_such_library_at_all\n")
    before = set(sys.modules)
    manager = load(files=(path,))
    assert "no_such_library_at_all" in manager.failures[str(path)]
    assert set(sys.modules) == before


def test_a_built_in_plugin_is_credited_to_this_distribution() -> None:
    manager = load("dygenept_plugins.metrics.errors")
    origin = manager.provenance("metrics", "mse")
    assert (origin.distribution, origin.version) == ("dygenept", __version__)
    assert origin.owner == "dygenept_plugins.metrics.errors"


def test_the_provenance_of_an_unknown_plugin_is_an_error() -> None:
    with pytest.raises(PluginError, match="no plugin 'absent' of kind 'metrics'"):
        PluginManager().provenance("metrics", "absent")


def test_an_unknown_name_suggests_the_nearest(package: Path) -> None:
    write(package, "plugin_one", attention("sparsemax"))
    manager = load("plugin_one")
    with pytest.raises(PluginError, match="unknown attention 'sparsmax'; did you mean 'sparsemax'"):
        manager.get(AttentionSpec, "sparsmax")
    with pytest.raises(PluginError, match=r"unknown split 'kfold'; known: none"):
        manager.get(SplitSpec, "kfold")


def test_options_are_validated_against_the_config(package: Path) -> None:
    write(package, "plugin_one", attention("one"))
    manager = load("plugin_one")
    spec = manager.get(AttentionSpec, "one")
    assert manager.configure(spec).model_dump() == {"num_heads": 8}
    assert manager.configure(spec, {"num_heads": 2}).model_dump() == {"num_heads": 2}


def test_an_unknown_option_names_the_nearest(package: Path) -> None:
    write(package, "plugin_one", attention("one"))
    manager = load("plugin_one")
    with pytest.raises(ConfigError, match=r"attention\.one\.num_head'.*did you mean 'num_heads'"):
        manager.configure(manager.get(AttentionSpec, "one"), {"num_head": 2})


def test_an_option_out_of_range_names_key_and_value(package: Path) -> None:
    write(package, "plugin_one", attention("one"))
    manager = load("plugin_one")
    with pytest.raises(ConfigError, match=r"attention\.one\.num_heads: .*greater.*got 0"):
        manager.configure(manager.get(AttentionSpec, "one"), {"num_heads": 0})
