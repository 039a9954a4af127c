"""What every command needs: its environment, its overrides, and where output goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from dygenept.knowledge.graph.sources import KgChoice
    from dygenept.model.overrides import Overrides
    from dygenept.plugin.environment import Environment


def load_environment(
    registries: Sequence[Path] | None = None,
    plugins: Sequence[Path] | None = None,
    *,
    data_dir: Path | None = None,
    device: str = "auto",
) -> Environment:
    """Load registries and plugins; a plugin that fails to import is named on stderr."""
    from dygenept.plugin.environment import Environment

    return Environment.load(
        tuple(registries or ()), tuple(plugins or ()), data_dir=data_dir, device=device
    )


def overrides(
    *,
    parts: dict[str, str | None],
    facets: str | None,
    kg: str | None = None,
    config: Path | None,
    sets: Sequence[str] | None,
) -> Overrides:
    """Collect what the flags change in assembled models."""
    from dygenept.knowledge.graph.sources import kg_names
    from dygenept.model.overrides import Overrides
    from dygenept.plugin.registry import read_yaml

    return Overrides(
        parts={section: name for section, name in parts.items() if name is not None},
        facets=facets,
        kg=None if kg is None else kg_names(kg),
        document=None if config is None else read_yaml(config),
        sets=tuple(sets or ()),
    )


def graph_choice(
    kg: str | None, sets: Sequence[str] | None, base: Mapping[str, object] | None = None
) -> KgChoice:
    """Collect the knowledge graphs, their options, and those of the imputation.

    Args:
        kg: Names, as ``--kg`` has them.
        sets: ``key=value`` settings; others than ``kg.…`` and ``imputation.…`` are passed over.
        base: A document with ``kg`` and ``imputation`` that the flags change.
    """
    from dygenept.errors import ConfigError
    from dygenept.knowledge.graph.sources import KgChoice, check_graph_options, graphs_of, kg_names
    from dygenept.model.overrides import from_dotlist
    from dygenept.plugin.registry import merge

    document = dict(base or {})
    graphs = graphs_of(document.get("kg", {}))
    if kg is not None:
        graphs = {name: graphs.get(name, {}) for name in kg_names(kg)}
    changes = from_dotlist(tuple(sets or ()))
    check_graph_options(changes.get("kg"), graphs)
    graphs = graphs_of(merge(graphs, graphs_of(changes.get("kg", {}))))
    imputation: dict[str, object] = {}
    for one in (document, changes):
        section = one.get("imputation", {})
        if not isinstance(section, Mapping):
            raise ConfigError(f"imputation must be a mapping of options, got {section!r}")
        imputation |= {str(key): value for key, value in section.items()}
    return KgChoice(graphs, imputation)


def stdout() -> Console:
    """Return a console for results; wide enough for tables when it is not a terminal."""
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    import json
    import sys

    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """Tell the user something on stderr."""
    import sys

    sys.stderr.write(f"{text}\n")
