"""Every help screen has named groups and examples, and every terminal gets what it asks for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dygenept_cli.help_screens import EXAMPLES
from dygenept_cli.main import app


def commands(root: object, path: tuple[str, ...] = ()) -> list[str]:
    """Name every command below a group."""
    children = getattr(root, "commands", None)
    if children is None:
        return [" ".join(path)]
    return [name for key, child in children.items() for name in commands(child, (*path, key))]


def test_every_command_has_an_example_that_calls_it() -> None:
    for name in commands(typer.main.get_command(app)):
        assert EXAMPLES.get(name), name
        assert all(line.startswith(f"dygenept {name}") for line in EXAMPLES[name]), name


def test_every_example_has_options_that_exist() -> None:
    root = typer.main.get_command(app)
    for name in commands(root):
        command = root
        for part in name.split():
            command = command.commands[part]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        for line in EXAMPLES[name]:
            given = {word for word in line.split() if word.startswith("--")}
            assert given <= known, line


def test_every_screen_ends_with_examples_and_fits_80_columns(
    cli: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(cli)
    monkeypatch.setenv("COLUMNS", "80")
    for name in commands(typer.main.get_command(app)):
        screen = cli(*name.split(), "-h").out
        _, _, shown = screen.partition("\nExamples:\n")
        # A shell reads a line that ends with a backslash and the next as one.
        joined = [line.strip() for line in re.sub(r" \\\n +", " ", shown).splitlines()]
        assert [line for line in joined if line] == list(EXAMPLES[name]), name
        assert max(map(len, screen.splitlines())) <= 80, name
        assert not re.search(r"<(int|float|str|list|path)|x[<>]=", screen), name


def test_a_group_shows_the_whole_first_sentence_of_each_command(cli: object) -> None:
    assert callable(cli)
    screen = " ".join(cli("-h").out.split())
    assert "compare Compare model A with B (and with C …), paired over the same pert" in screen
    assert "..." not in screen.partition("Commands:")[2]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_has_named_groups_and_ends_with_examples(flag: str, cli: object) -> None:
    assert callable(cli)
    screen = cli("bench", flag).out
    titles = [line for line in screen.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles[0] == "What is benchmarked:"
    assert "Plugins, folders and device:" in titles
    assert titles[-2:] == ["Options:", "Examples:"]
    assert screen.rstrip().splitlines()[-1].startswith("  dygenept bench --dataset screen.h5ad")
    assert "Examples:\n  dygenept data list\n" in cli("data", flag).out


def test_a_shared_option_is_in_the_group_of_the_record_that_has_it(cli: object) -> None:
    assert callable(cli)
    screen = cli("train", "-h").out
    assert screen.index("Options:") < screen.index("How it is split:")
    split = screen[screen.index("How it is split:") :]
    assert "--seed" in split[: split.index("\n\n")]


def test_completion_completes() -> None:
    environment = {
        **os.environ,
        "_DYGENEPT_COMPLETE": "complete_bash",
        "COMP_WORDS": "dygenept lead",
        "COMP_CWORD": "1",
    }
    program = Path(sys.executable).parent / "dygenept"
    done = subprocess.run(
        [program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["leaderboard"]


def test_columns_are_obeyed_off_a_terminal(cli: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(cli)
    widths = {}
    for columns in ("60", "100"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = cli("plugins", "list", "--kind", "attention").out.splitlines()
        widths[columns] = max(len(line) for line in lines)
    assert widths == {"60": 60, "100": pytest.approx(100, abs=25)}
    assert widths["100"] > 60


def test_a_check_names_the_next_command_and_a_package_passes_its_own_test(
    cli: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(cli)
    assert cli("plugins", "new", "splits", "my_split").code == 0
    checked = cli("plugins", "check", "--plugin", "my_split.py")
    expected = "next: dygenept bench --suite quick --split my_split --plugin my_split.py\n"
    assert checked.err.endswith(expected)
    made = cli("plugins", "new", "splits", "my_split", "--package")
    assert made.code == 0
    assert "next: pip install -e 'dygenept-my-split[dev]'" in made.err
    folder = tmp_path / "dygenept-my-split"
    assert 'my_split = "dygenept_my_split.my_split"' in (folder / "pyproject.toml").read_text()
    assert "splits/my_split" in (folder / ".github" / "workflows" / "tests.yml").read_text()
    monkeypatch.syspath_prepend(folder / "src")
    names: dict[str, object] = {}
    code = (folder / "tests" / "test_my_split.py").read_text()
    exec(compile(code, "test_my_split.py", "exec"), names)
    own_test = names["test_my_split_keeps_the_rules"]
    assert callable(own_test)
    own_test()
    assert cli("plugins", "new", "splits", "my_split", "--package").code == 2
