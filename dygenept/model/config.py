"""The configuration of an assembled model: parts, training, and how flags change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dygenept.errors import ConfigError, nearest
from dygenept.knowledge.graph.sources import KgChoice, check_graph_options, graphs_of
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry, merge
from dygenept.plugin.specs import (
    AttentionSpec,
    BaselineSpec,
    CellEncoderSpec,
    DecoderSpec,
    GeneEncoderSpec,
    KgSourceSpec,
    PluginSpec,
)
from dygenept.plugin.validation import validated

PARTS: Mapping[str, type[PluginSpec]] = {
    "gene_encoder": GeneEncoderSpec,
    "cell_encoder": CellEncoderSpec,
    "attention": AttentionSpec,
    "decoder": DecoderSpec,
}


class AssemblyConfig(BaseModel):
    """A fully resolved assembly: what ``models`` in the registry describes.

    Attributes:
        summary: One line.
        width: Embedding width D of all parts.
        facets: Name of a facet set, or a knowledge file.
        kg: Knowledge graphs that unknown facets are imputed from: options by plugin name; a list
            of names stands for their defaults.
        imputation: Options of the imputation; read where ``kg`` names a graph.
        gene_encoder: Options of the gene encoder, ``name`` among them; so for the other parts.
        cell_encoder: See ``gene_encoder``.
        attention: See ``gene_encoder``.
        decoder: See ``gene_encoder``.
        training: Options of training and prediction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str = ""
    width: int = Field(default=768, gt=0)
    facets: str = "biomedbert"
    kg: dict[str, dict[str, object]] = {}
    imputation: dict[str, object] = {}
    gene_encoder: dict[str, object] = {"name": "facets"}
    cell_encoder: dict[str, object] = {"name": "scgpt"}
    attention: dict[str, object] = {"name": "sparsemax"}
    decoder: dict[str, object] = {"name": "latent_arithmetic"}
    training: dict[str, object] = {}

    @field_validator("gene_encoder", "cell_encoder", "attention", "decoder")
    @classmethod
    def _has_name(cls, value: dict[str, object]) -> dict[str, object]:
        if not isinstance(value.get("name"), str):
            raise ValueError("needs a plugin name under 'name'")
        return value

    @field_validator("kg", mode="before")
    @classmethod
    def _has_options(cls, value: object) -> object:
        return graphs_of(value)

    @property
    def kg_choice(self) -> KgChoice:
        """The knowledge graphs and how to impute from them."""
        return KgChoice(self.kg, self.imputation)

    def part(self, section: str) -> tuple[str, dict[str, object]]:
        """Return the plugin name and the options of a part."""
        options = dict(getattr(self, section))
        return str(options.pop("name")), options


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

    Where the first alone names knowledge graphs, options of other graphs in the second are left
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


def assembly_config(
    name: str, registry: Registry, manager: PluginManager, overrides: Overrides = NO_OVERRIDES
) -> tuple[AssemblyConfig, str]:
    """Resolve a registered assembly and the changes made to it.

    A swapped part starts from the new plugin's defaults and keeps those options of the old one
    that the new one also has.

    Returns:
        The configuration, checked down to each plugin's options, and the model's shown name,
        such as ``dygenept_small[attention=softmax]``.

    Raises:
        ConfigError: If a key is unknown or a value not allowed; the nearest key is named.
        PluginError: If a plugin is unknown.
    """
    overrides, own = split_overrides(name, overrides, model_names(registry, manager))
    registered = registered_entry(name, registry)
    document = registered
    if overrides.document:
        document = _merged(document, overrides.document)
    for section, plugin in overrides.parts.items():
        document = merge(document, {section: {"name": plugin}})
    if overrides.facets is not None:
        document = merge(document, {"facets": overrides.facets})
    if overrides.kg is not None:
        document = _merged(document, {"kg": overrides.kg})
    sets = from_dotlist(overrides.sets)
    check_graph_options(sets.get("kg"), document.get("kg"))
    document = _merged(_merged(document, sets), own)
    document = _drop_foreign_options(registered, document, manager)
    config = _checked(document, name, manager)
    return config, _shown_name(name, _checked(registered, name, manager), config)


def model_names(registry: Registry, manager: PluginManager) -> tuple[str, ...]:
    """Every name that ``--model`` takes: assemblies and named baselines, then baseline plugins."""
    return tuple(dict.fromkeys((*registry.models, *manager.names(BaselineSpec.kind))))


def is_baseline(name: str, registry: Registry) -> bool:
    """True if a name is not that of an assembly: a baseline plugin, or an entry that names one."""
    return name not in registry.models or "baseline" in registered_entry(name, registry)


def split_overrides(
    name: str, overrides: Overrides, models: Sequence[str]
) -> tuple[Overrides, dict[str, object]]:
    """Part what changes every assembly from what addresses one model by its name.

    ``ridge.alpha=1`` and, in a document, ``ridge: {alpha: 1}`` address the model ``ridge`` alone.

    Returns:
        The overrides that address no model, and the options that address this one.

    Raises:
        ConfigError: If what addresses it is no mapping of options.
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
    return first in models and first not in AssemblyConfig.model_fields


def training_options(config: AssemblyConfig) -> TrainingOptions:
    """Validate the ``training`` section.

    Raises:
        ConfigError: If a key is unknown or a value not allowed.
    """
    return validated(TrainingOptions, config.training, "training")


def registered_entry(
    name: str, registry: Registry, seen: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return what ``models`` says of a name, merged over what it extends.

    Raises:
        ConfigError: If the name is unknown, or entries extend each other in a circle.
    """
    if name not in registry.models:
        raise ConfigError(f"unknown model {name!r}; {nearest(name, registry.models)}")
    if name in seen:
        raise ConfigError(f"models extend each other in a circle: {' -> '.join((*seen, name))}")
    entry = _normalised(registry.models[name])
    parent = entry.pop("extends", None)
    if parent is None:
        return entry
    return _merged(registered_entry(str(parent), registry, (*seen, name)), entry)


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Merge documents of assemblies; a list of knowledge graphs replaces the one before it."""
    normalised = _normalised(over)
    if "kg" in over and not isinstance(over["kg"], Mapping):
        base = {key: value for key, value in base.items() if key != "kg"}
    return merge(base, normalised)


def _normalised(document: Mapping[str, object]) -> dict[str, object]:
    normalised = {
        key: {"name": value} if key in PARTS and isinstance(value, str) else value
        for key, value in document.items()
    }
    if "kg" in normalised:
        normalised["kg"] = graphs_of(normalised["kg"])
    return normalised


def from_dotlist(sets: Sequence[str]) -> dict[str, object]:
    """Read ``key=value`` items into a nested mapping.

    Raises:
        ConfigError: If an item has no key or no equals sign, or its value is no YAML.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for item in sets:
        if "=" not in item or item.startswith("="):
            raise ConfigError(f"--set {item!r} must look like key=value, such as training.lr=5e-5")
    try:
        document = OmegaConf.to_container(OmegaConf.from_dotlist(list(sets)), resolve=True)
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"--set {' '.join(sets)}: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"--set {' '.join(sets)} is no mapping of keys")
    return {str(key): value for key, value in document.items()}


def _drop_foreign_options(
    registered: Mapping[str, object], document: dict[str, object], manager: PluginManager
) -> dict[str, object]:
    result = dict(document)
    for section, spec_class in PARTS.items():
        before, after = registered.get(section), result.get(section)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            continue
        if before.get("name") == after.get("name"):
            continue
        allowed = manager.get(spec_class, str(after.get("name"))).config.model_fields
        kept = {
            key: value
            for key, value in after.items()
            if key == "name" or key in allowed or before.get(key) != value
        }
        result[section] = kept
    return result


def _checked(document: Mapping[str, object], name: str, manager: PluginManager) -> AssemblyConfig:
    config = validated(AssemblyConfig, document, name)
    for section, spec_class in PARTS.items():
        plugin, options = config.part(section)
        spec = manager.get(spec_class, plugin)
        validated(spec.config, options, section)
    for graph, options in config.kg.items():
        validated(manager.get(KgSourceSpec, graph).config, options, f"kg.{graph}")
    if config.imputation:
        config.kg_choice.imputation_options()
    training_options(config)
    return config


def _shown_name(name: str, before: AssemblyConfig, after: AssemblyConfig) -> str:
    old, new = _settings(before), _settings(after)
    changes = []
    for key in sorted(new.keys() | old.keys()):
        if old.get(key) == new.get(key) or key == "summary":
            continue
        section, _, leaf = key.rpartition(".")
        if leaf == "name":
            changes.append(f"{section}={new[key]}")
        elif key in new:
            changes.append(f"{key}={shown_value(new[key])}")
    return f"{name}[{','.join(changes)}]" if changes else name


def _settings(config: AssemblyConfig) -> dict[str, object]:
    """Return every setting by its dotted key; the knowledge graphs' names stand under ``kg``."""
    return {**_flat(config.model_dump()), "kg": tuple(config.kg)}


def _flat(document: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def shown_value(value: object) -> str:
    """Return an option's value as a model's name shows it."""
    if isinstance(value, list | tuple):
        return "+".join(str(item) for item in value) or "none"
    return str(value)
