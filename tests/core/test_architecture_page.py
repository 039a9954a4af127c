"""``docs/architecture.md`` names only what exists, and every room and import contract."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
CODE = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"dygenept(?:_plugins|_cli|_benchmarks)?(?:\.\w+)+")
FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:yaml|toml|md)")
CLASS = re.compile(r"(?:[A-Z][a-z]+)+(?:PT)?\w*")


def section(title: str) -> str:
    """Return what stands below a heading."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S)
    return str(found)


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text, headings and rules left out, each row as its cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.M)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
        for block in blocks
    ]


def resolved(name: str) -> object:
    """Import as much of a dotted name as is a module and look the rest up."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            found: object = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not (module == error.name or module.startswith(error.name)):
                raise
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def classes() -> set[str]:
    """Name every class of the core."""
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / "dygenept").rglob("*.py"))
    return {
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    }


def contracts() -> list[dict[str, object]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return list(document["tool"]["importlinter"]["contracts"])


CHANGES = tables(section("I want to change …"))[0]
QUESTIONS = tables(section("Questions a newcomer asks"))[0]
STEPS = [
    row
    for title in ("The walk of `dygenept bench`", "Other walks")
    for table in tables(section(title))
    for row in table
]
ROOM_TABLES = tables(section("The rooms"))
FLOORS = [(int(floor), room.strip("`")) for floor, room, _ in ROOM_TABLES[0]]
INNER = [room.strip("`") for room, _ in ROOM_TABLES[1]]


@pytest.mark.parametrize("name", sorted(set(DOTTED.findall(" ".join(CODE.findall(PAGE))))))
def test_every_symbol_exists(name: str) -> None:
    resolved(name)


def test_every_path_exists() -> None:
    paths = {text for text in CODE.findall(PAGE) if FILE.fullmatch(text)}
    assert {"registry.yaml", "docs/plugins.md", "plugins/dygenept_plugins/networks/"} <= paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_class_named_alone_exists() -> None:
    named = {text for text in CODE.findall(PAGE) if CLASS.fullmatch(text)}
    assert {"Environment", "DyGenePT", "RunRecord"} <= named
    # One is of the standard library, and the others are aliases.
    assert named - classes() <= {"Path", "Job", "JobResult", "TextFormat"}


@pytest.mark.parametrize("row", STEPS, ids=lambda row: f"{row[0]} {row[2]}")
def test_each_arrow_of_a_walk_is_what_the_code_declares(row: list[str]) -> None:
    _, _, function, takes, gives = row
    target = resolved(function.strip("`"))
    if inspect.isclass(target):
        assert gives == f"`{target.__name__}`"
        return
    assert callable(target)
    signature = inspect.signature(target)
    given = " ".join(str(item.annotation) for item in signature.parameters.values())
    for name in CODE.findall(takes):
        assert re.search(rf"\b{name}\b", given), f"{function} takes no {name}: {signature}"
    for name in CODE.findall(gives):
        returned = str(signature.return_annotation)
        assert re.search(rf"\b{name}\b", returned), f"{function} gives {returned}, not {name}"


def test_the_floors_are_those_of_the_contract() -> None:
    (layers,) = (one["layers"] for one in contracts() if "dygenept.runs" in one.get("layers", ()))
    assert isinstance(layers, list)
    expected = {
        (floor, room)
        for floor, line in enumerate(reversed(layers), start=1)
        for room in re.findall(r"[\w.]+", line)
    }
    assert set(FLOORS) == expected
    assert [floor for floor, _ in FLOORS] == sorted(floor for floor, _ in FLOORS)


def test_every_package_of_the_core_is_named_and_every_room_is_a_package() -> None:
    packages = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for init in (ROOT / "dygenept").rglob("__init__.py")
    }
    named = {room for _, room in FLOORS} | set(INNER)
    assert named - {"dygenept.errors"} == packages - {"dygenept"}


def test_a_room_names_each_of_its_modules() -> None:
    unnamed = [
        str(module.relative_to(ROOT))
        for init in (ROOT / "dygenept").glob("*/**/__init__.py")
        for module in init.parent.glob("*.py")
        if module != init
        and f"``{module.stem}``" not in str(ast.get_docstring(ast.parse(init.read_text("utf-8"))))
    ]
    assert unnamed == []


def test_the_contracts_are_those_of_import_linter() -> None:
    named = [name for name, _ in ROOM_TABLES[2]]
    assert sorted(named) == sorted(str(one["name"]) for one in contracts())


def test_the_tables_are_long_and_every_row_names_a_place() -> None:
    assert len(CHANGES) >= 30
    assert len(QUESTIONS) >= 20
    for wish, places in (*CHANGES, *QUESTIONS):
        assert any(DOTTED.fullmatch(of) or FILE.fullmatch(of) for of in CODE.findall(places)), wish
    wishes = [wish for wish, _ in (*CHANGES, *QUESTIONS)]
    assert len(set(wishes)) == len(wishes)


def test_a_name_that_does_not_exist_is_found() -> None:
    with pytest.raises(AttributeError):
        resolved("dygenept.runs.jobs.no_such_function")
    with pytest.raises(AttributeError):
        resolved("dygenept.no_such_room.module")


def test_the_page_can_be_found_from_where_people_begin() -> None:
    for path in ("README.md", "docs/index.md", "docs/plugins.md"):
        assert "architecture.md" in (ROOT / path).read_text("utf-8"), path
