"""What the command line changes in the models of a run: flags, ``--config`` and ``--set``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dygenept.errors import ConfigError
from dygenept.model.assembly_text import AssemblyText
from dygenept.plugin.registry import merge


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line changes in every assembly of a run.

    Attributes:
        parts: Plugin name by section (``attention`` …), for ``--attention`` and its like.
        facets: Facet set or file, for ``--facets``.
        kg: Knowledge graphs, for ``--kg``; None leaves those of the assembly.
        document: A nested mapping, for ``--config``.
        sets: ``key=value`` in order, for ``--set``.
    """

    parts: Mapping[str, str]
    facets: str | None = None
    kg: tuple[str, ...] | None = None
    document: Mapping[str, object] | None = None
    sets: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True if nothing is changed."""
        changes = (self.parts, self.facets, self.document, self.sets)
        return not any(changes) and self.kg is None


NO_OVERRIDES = Overrides(parts={})


def combined(first: Overrides, second: Overrides) -> Overrides:
    """Join two sets of changes; the second wins.

    Where only the first names knowledge graphs, options of other graphs in the second are left
    out: they are meant for other cells of a grid.
    """
    sets = second.sets
    if first.kg is not None and second.kg is None:
        sets = tuple(item for item in sets if _graph_of(item) in (None, *first.kg))
    documents = [dict(one.document) for one in (first, second) if one.document]
    return Overrides(
        parts={**first.parts, **second.parts},
        facets=first.facets if second.facets is None else second.facets,
        kg=first.kg if second.kg is None else second.kg,
        document=merge(documents[0], documents[-1]) if documents else None,
        sets=first.sets + sets,
    )


def _graph_of(item: str) -> str | None:
    """Return the knowledge graph that a ``key=value`` item sets an option of, if any."""
    parts = item.partition("=")[0].split(".")
    return parts[1] if parts[0] == "kg" and len(parts) > 1 else None


def split_overrides(
    name: str, overrides: Overrides, models: Sequence[str]
) -> tuple[Overrides, dict[str, object]]:
    """Separate what changes every assembly from what addresses one model by its name.

    ``ridge.alpha=1`` and, in a document, ``ridge: {alpha: 1}`` address only the model ``ridge``.

    Returns:
        The overrides that address no model, and the options that address this one.

    Raises:
        ConfigError: If what addresses it is not a mapping of options.
    """
    document = dict(overrides.document or {})
    own = document.get(name, {}) if _addresses(name, models) else {}
    if not isinstance(own, Mapping):
        raise ConfigError(f"options of {name} must be a mapping of keys, got {own!r}")
    shared_sets: list[str] = []
    own_sets: list[str] = []
    for item in overrides.sets:
        first, _, rest = item.partition(".")
        if not _addresses(first, models):
            shared_sets.append(item)
        elif first == name:
            own_sets.append(rest)
    shared = {key: value for key, value in document.items() if not _addresses(key, models)}
    return (
        replace(overrides, sets=tuple(shared_sets), document=shared or None),
        merge(own, from_dotlist(own_sets)),
    )


def addressed(overrides: Overrides, models: Sequence[str]) -> tuple[str, ...]:
    """Names of the models that overrides address one by one, in order."""
    firsts = (*(item.partition(".")[0] for item in overrides.sets), *(overrides.document or {}))
    return tuple(dict.fromkeys(first for first in firsts if _addresses(first, models)))


def _addresses(first: str, models: Sequence[str]) -> bool:
    return first in models and first not in AssemblyText.model_fields


def from_dotlist(sets: Sequence[str]) -> dict[str, object]:
    """Read ``key=value`` items into a nested mapping.

    Raises:
        ConfigError: If an item has no key or no equals sign, or its value is not YAML.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for item in sets:
        if "=" not in item or item.startswith("="):
            raise ConfigError(f"--set {item!r} must look like key=value, such as training.lr=5e-5")
    try:
        document = OmegaConf.to_container(OmegaConf.from_dotlist(list(sets)), resolve=True)
    # The others are what numbers of 5,000 digits and nesting thousands deep lead to.
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"--set {' '.join(sets)[:300]}: {said}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"--set {' '.join(sets)} is not a mapping of keys")
    return {str(key): value for key, value in document.items()}
