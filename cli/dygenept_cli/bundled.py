"""What ships with the package, found as its resources: suites and templates of plugins."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.runs.suites import Suite


def bundled_suite(name: str) -> Suite:
    """Return a bundled suite, or one from a YAML file."""
    from importlib.resources import as_file, files

    from dygenept.runs.suites import load_suite

    with as_file(files("dygenept_benchmarks")) as directory:
        return load_suite(name, directory)


@cache
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
    return _filled(f"{kind}.py.txt", kind, name, file_name)


def plugin_package(kind: str, name: str) -> dict[str, str]:
    """Return the files of a distribution with one plugin, its test and its CI, by path."""
    module = f"src/dygenept_{name}"
    return {
        "pyproject.toml": _filled("package_pyproject.toml.txt", kind, name),
        "README.md": _filled("package_readme.md.txt", kind, name),
        f"{module}/__init__.py": f'"""Plugin of DyGenePT: {kind}/{name}."""\n',
        f"{module}/{name}.py": plugin_file(kind, name),
        f"tests/test_{name}.py": _filled("package_test.py.txt", kind, name),
        ".github/workflows/tests.yml": _filled("package_ci.yml.txt", kind, name),
    }


def _filled(template: str, kind: str, name: str, file_name: str | None = None) -> str:
    from importlib.resources import files

    text = files("dygenept_cli").joinpath("templates", template).read_text(encoding="utf-8")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    places = {
        "@NAME@": name,
        "@CLASS@": class_name,
        "@KIND@": kind,
        "@DASHED@": name.replace("_", "-"),
        "@UPPER@": name.upper(),
        "@FILE@": file_name or f"{name}.py",
    }
    for place, value in places.items():
        text = text.replace(place, value)
    return text
