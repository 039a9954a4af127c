"""What ships with the package, found as its resources: suites and templates of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.runs.suites import Suite


def bundled_suite(name: str) -> Suite:
    """Return a bundled suite, or one from a YAML file."""
    from importlib.resources import as_file, files

    from dygenept.runs.suites import load_suite

    with as_file(files("dygenept_benchmarks")) as directory:
        return load_suite(name, directory)


def bundled_suites() -> tuple[Suite, ...]:
    """Return every bundled suite, by name."""
    from importlib.resources import as_file, files

    from dygenept.runs.suites import all_suites

    with as_file(files("dygenept_benchmarks")) as directory:
        return all_suites(directory)


def plugin_file(kind: str, name: str, *, file_name: str | None = None) -> str:
    """Return the text of a single-file plugin of one kind that passes its check.

    Args:
        kind: Such as ``attention``; or another template, such as ``isolated_baselines_child``.
        name: In lower snake case.
        file_name: Name of the plugin's file; None for ``name`` with its ending.
    """
    from importlib.resources import files

    template = files("dygenept_cli").joinpath("templates", f"{kind}.py.txt")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    text = template.read_text(encoding="utf-8")
    words = {
        "@NAME@": name,
        "@CLASS@": class_name,
        "@UPPER@": name.upper(),
        "@FILE@": file_name or f"{name}.py",
    }
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text
