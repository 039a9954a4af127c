from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from dygenept.plugin import code_identity, loading
from dygenept.plugin.code_identity import (
    project_code,
    project_sources,
    sources_sha256,
)
from dygenept.plugin.manager import PluginManager

PLUGIN = """
from dygenept.plugin import SplitSpec, hookimpl

@hookimpl
def dygenept_splits():
    return [SplitSpec(name="mine", summary="A test.", source="this test", factory=int)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten."""
    before = set(sys.modules)
    place = tmp_path / "code"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    yield place
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body)


def code_of_module(name: str) -> str:
    """Load a module of plugins as a process of its own would, and return its code's hash."""
    for known in [item for item in sys.modules if item.split(".")[0] == name.split(".")[0]]:
        del sys.modules[known]
    manager = PluginManager.load([name], entry_points=False)
    assert not manager.failures
    return manager.provenance("splits", "mine").code_sha256


def code_of_file(path: Path) -> str:
    manager = PluginManager.load(files=[path], entry_points=False)
    assert not manager.failures
    return manager.provenance("splits", "mine").code_sha256


@pytest.mark.parametrize(
    "imported",
    [
        "import helper",
        "from helper import VALUE",
        "import helper as other",
        "def late():\n    import helper",
        "import between",
        "from shelf.deep import VALUE",
    ],
)
def test_an_edited_helper_beside_a_file_changes_the_files_identity(
    folder: Path, imported: str
) -> None:
    helpers = {
        "helper.py": "VALUE = 1\n",
        "between.py": "def f():\n    from helper import VALUE\n",
        "shelf/deep.py": "from helper import VALUE\n",
    }
    write(folder, {"mine.py": f"{imported}\n{PLUGIN}", **helpers})
    before = code_of_file(folder / "mine.py")
    assert code_of_file(folder / "mine.py") == before
    write(folder, {"helper.py": "VALUE = 2\n"})
    assert code_of_file(folder / "mine.py") != before


def test_a_file_that_is_not_imported_changes_nothing(folder: Path) -> None:
    write(folder, {"mine.py": PLUGIN, "stranger.py": "VALUE = 1\n"})
    before = code_of_file(folder / "mine.py")
    write(folder, {"stranger.py": "VALUE = 2\n"})
    assert code_of_file(folder / "mine.py") == before


@pytest.mark.parametrize("edited", ["package/impl.py", "package/deep/part.py", "beside.py"])
def test_an_edited_submodule_changes_a_packages_identity(folder: Path, edited: str) -> None:
    write(
        folder,
        {
            "package/__init__.py": "from package.impl import dygenept_splits\n",
            "package/impl.py": f"import beside\n{PLUGIN}",
            "package/deep/__init__.py": "",
            "package/deep/part.py": "VALUE = 1\n",
            "beside.py": "VALUE = 1\n",
        },
    )
    before = code_of_module("package.impl")
    assert code_of_module("package.impl") == before
    write(folder, {edited: (folder / edited).read_text() + "OTHER = 1\n"})
    assert code_of_module("package.impl") != before


def test_an_edited_neighbour_changes_a_module_without_a_package(folder: Path) -> None:
    write(
        folder, {"space/plug.py": f"from . import near\n{PLUGIN}", "space/near.py": "VALUE = 1\n"}
    )
    before = code_of_module("space.plug")
    write(folder, {"space/near.py": "A = 2\n"})
    assert code_of_module("space.plug") != before


@pytest.mark.parametrize(
    ("imported", "edited"),
    [
        # A folder that the plugin itself puts on the path, at the top or late.
        ("import sys; sys.path.append({lib!r})\nimport far", "lib/far.py"),
        ("import sys; sys.path.append({lib!r})\ndef f():\n    from far import VALUE", "lib/far.py"),
        ("import sys; sys.path.append({lib!r})\nimport far", "lib/farther/deep.py"),
        # A name that only the running program knows.
        ("import importlib; importlib.import_module('hel' + 'per')", "code/helper.py"),
        # What it reads, at the top or late.
        ("def f():\n    return open(__file__ + '/../weights.json')", "code/weights.json"),
        ("def f():\n    return Path(__file__).parent / 'deep/table.csv'", "code/deep/table.csv"),
        ("from shelf import part", "code/shelf/table.yaml"),
        ("from shelf import part", "code/shelf/deep/fast.so"),
    ],
)
def test_whatever_a_file_loads_or_reads_changes_its_identity(
    folder: Path, tmp_path: Path, imported: str, edited: str
) -> None:
    write(
        tmp_path,
        {
            "lib/far.py": "import farther.deep\n",
            "lib/farther/__init__.py": "",
            "lib/farther/deep.py": "VALUE = 1\n",
            "code/mine.py": f"{imported.format(lib=str(tmp_path / 'lib'))}\n{PLUGIN}",
            "code/helper.py": "VALUE = 1\n",
            "code/weights.json": "[1]",
            "code/deep/table.csv": "1",
            "code/shelf/__init__.py": "",
            "code/shelf/part.py": "",
            "code/shelf/table.yaml": "a: 1",
            "code/shelf/deep/fast.so": "1",
            "code/unread.json": "[1]",
        },
    )

    def code() -> str:
        for name in ("far", "farther", "farther.deep", "helper", "shelf", "shelf.part"):
            sys.modules.pop(name, None)
        return code_of_file(folder / "mine.py")

    before = code()
    write(tmp_path, {"code/unread.json": "[2]", "code/shelf/__pycache__/x.pyc": "2"})
    assert code() == before
    write(tmp_path, {edited: (tmp_path / edited).read_text() + "# 2"})
    assert code() != before


def test_a_distribution_counts_with_all_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    info = "dist_one-1.0.dist-info"
    files = {"plug_one.py": f"import core_one\n{PLUGIN}", "core_one/__init__.py": "VALUE = 1\n"}
    files |= {"core_one/table.yaml": "a: 1\n", "other.py": "VALUE = 1\n"}
    listed = [name for name in files if name != "other.py"] + [f"{info}/METADATA"]
    write(place, {**files, f"{info}/METADATA": "Name: dist-one\nVersion: 1.0\n"})
    write(place, {f"{info}/top_level.txt": "plug_one\ncore_one\n"})
    write(place, {f"{info}/RECORD": "".join(f"{name},,\n" for name in listed)})
    monkeypatch.syspath_prepend(str(place))
    loading._distributions_by_package.cache_clear()
    found = [code_of_module("plug_one")]
    for name in ("other.py", "core_one/table.yaml", "core_one/__init__.py"):
        write(place, {name: files[name] + "# 2\n"})
        found.append(code_of_module("plug_one"))
    loading._distributions_by_package.cache_clear()
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_a_plugin_in_an_archive_has_an_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ZipFile(tmp_path / "plugs.zip", "w") as archive:
        archive.writestr("zipped.py", PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path / "plugs.zip"))
    assert len(code_of_module("zipped")) == 64


def test_what_is_installed_counts_only_its_own_package(tmp_path: Path) -> None:
    place = tmp_path / "site-packages"
    write(place, {"mine.py": f"import other\n{PLUGIN}", "other.py": "VALUE = 1\n"})
    sys.path.insert(0, str(place))
    try:
        before = code_of_file(place / "mine.py")
        write(place, {"other.py": "VALUE = 2\n"})
        assert code_of_file(place / "mine.py") == before
    finally:
        sys.path.remove(str(place))
        sys.modules.pop("other", None)


def test_a_built_in_plugin_is_covered_by_the_projects_code() -> None:
    manager = PluginManager.load(["dygenept_plugins.splits.kfold"], entry_points=False)
    assert manager.provenance("splits", "kfold").code_sha256 == ""


def tree(folder: Path, end: str = "\n") -> tuple[Path, Path]:
    shown = ("core/results/records.py", "core/reports/page.py")
    for name in ("core/data/task.py", *shown, "plugins/splits/kfold.py"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(f"NAME = {name!r}{end}".encode())
    return folder / "core", folder / "plugins"


def test_the_projects_hash_depends_on_no_machine_path_and_no_line_ends(tmp_path: Path) -> None:
    first = sources_sha256(project_sources(*tree(tmp_path / "here")))
    assert sources_sha256(project_sources(*tree(tmp_path / "there", "\r\n"))) == first


@pytest.mark.parametrize("edited", ["core/data/task.py", "plugins/splits/kfold.py"])
def test_an_edit_of_what_computes_changes_the_projects_hash(tmp_path: Path, edited: str) -> None:
    places = tree(tmp_path)
    before = sources_sha256(project_sources(*places))
    (tmp_path / edited).write_text("NAME = 'edited'\n")
    assert sources_sha256(project_sources(*places)) != before


def test_a_renamed_or_new_module_changes_the_projects_hash(tmp_path: Path) -> None:
    places = tree(tmp_path)
    before = sources_sha256(project_sources(*places))
    task = tmp_path / "core/data/task.py"
    task.rename(task.with_name("tasks.py"))
    renamed = sources_sha256(project_sources(*places))
    (tmp_path / "core/data/empty.py").touch()
    assert len({before, renamed, sources_sha256(project_sources(*places))}) == 3


@pytest.mark.parametrize("edited", ["core/results/records.py", "core/reports/page.py"])
def test_an_edit_of_what_only_shows_results_does_not(tmp_path: Path, edited: str) -> None:
    places = tree(tmp_path)
    before = sources_sha256(project_sources(*places))
    (tmp_path / edited).write_text("NAME = 'edited'\n")
    assert sources_sha256(project_sources(*places)) == before


def test_the_projects_code_covers_core_and_built_in_plugins_and_is_read_once() -> None:
    code = project_code()
    assert len(code.sha256) == 64
    assert project_code() is code
    plugins = code_identity._built_in_plugins()
    assert plugins is not None
    names = project_sources(Path(code_identity.dygenept.__file__).parent, plugins)
    assert {"dygenept/data/task.py", "dygenept_plugins/splits/kfold.py"} <= set(names)


def test_hashing_the_projects_code_costs_little_more_than_reading_it() -> None:
    plugins = code_identity._built_in_plugins()
    assert plugins is not None
    names = project_sources(Path(code_identity.dygenept.__file__).parent, plugins)

    def read() -> object:
        return [hashlib.sha256(path.read_bytes()).digest() for path in names.values()]

    def seconds(work: Callable[[], object]) -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    plain = min(seconds(read) for _ in range(5))
    assert min(seconds(lambda: sources_sha256(names)) for _ in range(5)) < 5 * plain


def git(folder: Path, *words: str) -> None:
    name = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *name, *words], check=True, capture_output=True)


def test_a_checkout_has_a_commit_and_says_when_it_is_dirty(tmp_path: Path) -> None:
    package = tmp_path / "dygenept"
    write(tmp_path, {"dygenept/__init__.py": "", "docs/page.md": ""})
    assert code_identity._git_state(package) == (None, None)
    git(tmp_path, "init")
    assert code_identity._git_state(package) == (None, None)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "First")
    commit, is_dirty = code_identity._git_state(package)
    assert commit is not None
    assert len(commit) == 40
    assert is_dirty is False
    (tmp_path / "docs/page.md").write_text("edited")
    assert code_identity._git_state(package) == (commit, False)
    (package / "__init__.py").write_text("edited = True\n")
    assert code_identity._git_state(package) == (commit, True)


def test_a_checkout_without_git_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_identity._git_state(tmp_path / "dygenept") == (None, None)
