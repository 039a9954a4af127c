"""Write what the documentation takes from the code: metrics, commands, and templates of plugins.

``python scripts/write_docs.py`` writes; ``--check`` only says what would change.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer._click.core as click

    from dygenept.plugin.specs import EffectMetricSpec, MetricSpec

DOCS = Path(__file__).resolve().parents[1] / "docs"
METRICS_HEAD = """\
# Metrics

This page is made of the metrics' own declarations (`python scripts/write_docs.py`).

Per held-out perturbation: ŷ is the predicted and y the true mean expression (log1p) over G genes,
c the mean of the real control cells of its cell type, Δ = y − c and Δ̂ = ŷ − c, m the mean of the
train perturbations, T the top-20 DE genes, k the number of significant genes, r Pearson's
correlation, s the spread that a model may return. [Protocol](protocol.md#metrics) has the fine
print: ties, undefined values, what counts as significant; [What a board claims](inference.md) says
which metrics count on a data set.

*Undefined* values are null with a reason. In means an undefined correlation counts as 0; other
undefined values are left out. *Chance* is what a guess gets.
"""
GROUPS = {
    "default": "Scored by default",
    "few_controls": "Scored where control cells are few",
    "named": "Scored where `--metric` or a suite names them",
}
COMMANDS_HEAD = """\
# Commands

This page is made of the command line itself (`python scripts/write_docs.py`); `-h` or `--help`
shows the same. `--debug` behind any command shows a traceback instead of the one-line error.
`dygenept --install-completion` installs completion for your shell. Flags that say how a data set is
read are explained in [Commands that read a data set](cli.md).

A command ends with 0 where all went well, with 2 where something must be mended (one line on stderr
says what), and with 130 after Ctrl-C. `rerun` and `reproduce` end with 1 where figures disagree.
"""


def pages() -> dict[Path, str]:
    """Return every generated page, with the text that it should have."""
    found = {
        DOCS / "metrics.md": metrics_page(),
        DOCS / "cli_reference.md": commands_page(),
    }
    for path in sorted((DOCS / "tutorials").glob("*.md")):
        found[path] = with_template(path.read_text("utf-8"))
    return found


def metrics_page() -> str:
    """Write the page of metrics."""
    from dygenept.plugin.manager import PluginManager
    from dygenept.plugin.registry import load_registry
    from dygenept.plugin.specs import EffectMetricSpec, MetricSpec

    modules = load_registry().plugins
    manager = PluginManager.load(modules, entry_points=False)
    lines = [METRICS_HEAD]
    metrics = [manager.get(MetricSpec, name) for name in manager.names(MetricSpec.kind)]
    for boards, title in GROUPS.items():
        lines.append(f"## {title}\n")
        lines += [_metric(spec) for spec in metrics if spec.boards == boards]
    lines.append("## Of tables of effects\n")
    lines.append(
        "Computed over measured pairs only ([Tables of effects](effect_tables.md)); a value per "
        "gene or per held-out perturbation.\n"
    )
    kind = EffectMetricSpec.kind
    lines += [_metric(manager.get(EffectMetricSpec, name)) for name in manager.names(kind)]
    return "\n".join(lines).rstrip() + "\n"


def _metric(spec: MetricSpec | EffectMetricSpec) -> str:
    guide = spec.guide
    if guide is None:
        raise SystemExit(f"metric {spec.name!r} has no guide")
    better = "higher" if spec.higher_is_better else "lower"
    rows = [
        ("formula", guide.formula),
        ("range", f"{_bound(spec.lower)} to {_bound(spec.upper)}; {better} is better"),
        ("chance", _chance(spec)),
        ("undefined", spec.undefined or "never"),
        ("misleads", guide.misleads),
        ("use it", guide.use),
        ("source", spec.source),
    ]
    table = "\n".join(f"| {name} | {_cell(text)} |" for name, text in rows)
    return f"### `{spec.name}`\n\n{spec.summary}\n\n| | |\n|---|---|\n{table}\n"


def _bound(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:g}".replace("-", "−")


def _chance(spec: MetricSpec | EffectMetricSpec) -> str:
    if spec.guide is not None and spec.guide.chance:
        return spec.guide.chance
    return f"{spec.chance:g}" if isinstance(spec.chance, float) else "no such level"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def commands_page() -> str:
    """Write the page of commands."""
    import typer

    from dygenept_cli.main import app

    root = typer.main.get_command(app)
    lines = [COMMANDS_HEAD]
    for path, command in _commands(root, ("dygenept",)):
        lines.append(_command(path, command))
    return "\n".join(lines).rstrip() + "\n"


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _commands(child, (*path, name))


def _command(path: Sequence[str], command: click.Command) -> str:
    from dygenept_cli.help_screens import readable

    context = command.make_context(" ".join(path), [], resilient_parsing=True)
    lines = [f"## {' '.join(path)}\n", _text(command.help or ""), ""]
    lines += ["```text", command.get_usage(context), "```", ""]
    groups: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        title = getattr(parameter, "rich_help_panel", None) or "Options"
        if parameter.param_type_name == "argument":
            title = "Arguments"
        names, text = readable(*record)
        groups.setdefault(title, []).append(f"| `{_cell(names)}` | {_cell(_text(text))} |")
    for title, rows in groups.items():
        lines += [f"| {title} | |", "|---|---|", *rows, ""]
    if command.epilog:
        lines += ["Examples:", "", "```text", *_examples(command.epilog), "```", ""]
    return "\n".join(lines)


def _text(text: str) -> str:
    return " ".join(text.replace("\b", "").split())


def _examples(epilog: str) -> list[str]:
    lines = (line.strip() for line in epilog.replace("\b", "").splitlines())
    return [line for line in lines if line and line != "Examples:"]


def with_template(page: str) -> str:
    """Fill the place that a tutorial has for a template with that template."""
    from dygenept_cli.bundled import plugin_file

    def filled(match: re.Match[str]) -> str:
        head, kind, name = match[1], match[2], match[3]
        return f"{head}\n```python\n{plugin_file(kind, name)}```\n<!-- end -->"

    pattern = r"(<!-- template: (\w+) (\w+) -->)\n.*?<!-- end -->"
    return re.sub(pattern, filled, page, flags=re.S)


def main() -> None:
    """Write or check the pages.

    Raises:
        SystemExit: With ``--check``, if a page is not what the code says.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    only_check = parser.parse_args().check
    stale = [path for path, text in pages().items() if not _is_current(path, text)]
    for path in stale:
        if not only_check:
            path.write_text(pages()[path], "utf-8")
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")
    if stale and only_check:
        raise SystemExit("these pages are not what the code says; run python scripts/write_docs.py")


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


if __name__ == "__main__":
    main()
