"""Every room says in its docstring what it is for and in which order to read it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("dygenept", "plugins/dygenept_plugins", "cli/dygenept_cli")
ROOMS = {
    init.parent.relative_to(ROOT).as_posix(): init.parent
    for package in PACKAGES
    for init in sorted((ROOT / package).rglob("__init__.py"))
}
# A name in double backticks that could be a module, and one that could be a file.
MODULE, FILE = re.compile(r"``([a-z][a-z0-9_]*)``"), re.compile(r"``([\w/]+\.(?:md|yaml|py))``")


LINES = {
    path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
}


def docstring_of(room: Path) -> str:
    return ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""


def modules_of(room: Path) -> set[str]:
    """Name the modules and rooms directly inside a room, private ones left out."""
    files = {path.stem for path in room.glob("*.py")}
    inner = {path.parent.name for path in room.glob("*/__init__.py")}
    return {name for name in files | inner if not name.startswith("_")}


def absent_modules(text: str, room: Path) -> set[str]:
    """Name what looks like a module of the room, or a function that the room offers, and is not."""
    offered = re.findall(r"^ +\"(\w+)\",$", (room / "__init__.py").read_text("utf-8"), flags=re.M)
    return set(MODULE.findall(text)) - modules_of(room) - set(offered) - {"dygenept"}


def test_all_rooms_are_looked_at() -> None:
    assert {"dygenept", "dygenept/model/start", "plugins/dygenept_plugins/metrics"} <= set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_says_what_it_is_for_and_names_what_to_read(name: str) -> None:
    text, room = docstring_of(ROOMS[name]), ROOMS[name]
    assert text
    if name.split("/")[0] == "dygenept":
        assert text.count("\n") >= 3
        # Not all of them: modules that are alike, such as checks, may be named together.
        named = set(MODULE.findall(text)) & modules_of(room)
        assert 3 * len(named) >= len(modules_of(room))


@pytest.mark.parametrize("name", ROOMS)
def test_every_module_and_file_that_a_room_names_exists(name: str) -> None:
    text = docstring_of(ROOMS[name])
    assert absent_modules(text, ROOMS[name]) == set()
    assert [file for file in FILE.findall(text) if not (ROOT / file).is_file()] == []


def test_a_module_that_does_not_exist_is_found() -> None:
    text = "Read ``whole_files`` first, then ``no_such_module``."
    assert absent_modules(text, ROOMS["dygenept/machine"]) == {"no_such_module"}


def test_no_module_is_over_400_lines_and_half_are_under_150() -> None:
    assert len(LINES) > 300
    assert {name for name, n_lines in LINES.items() if n_lines > 400} == set()
    assert median(LINES.values()) < 150
