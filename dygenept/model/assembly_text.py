"""An assembly as text: what ``models`` in the registry, ``--config`` and trained models say."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dygenept.errors import ConfigError, nearest
from dygenept.knowledge.graph.sources import KgChoice, graphs_of
from dygenept.plugin.registry import Registry, merge
from dygenept.plugin.specs import (
    AttentionSpec,
    CellEncoderSpec,
    DecoderSpec,
    GeneEncoderSpec,
    PluginSpec,
)
from dygenept.types.effects import GraphName

PARTS: Mapping[str, type[PluginSpec]] = {
    "gene_encoder": GeneEncoderSpec,
    "cell_encoder": CellEncoderSpec,
    "attention": AttentionSpec,
    "decoder": DecoderSpec,
}


class AssemblyText(BaseModel):
    """An assembly as it is written down: only what differs from the plugins' defaults.

    It parses YAML and JSON; what a run works with is the ``Assembly`` that is made of it.

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
        links: Graphs that tell which genes are alike, in a model of a table of effects.
        table: Options of gradient steps on a table of effects.
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
    links: tuple[GraphName, ...] = ("go", "string", "biogrid", "reactome")
    table: dict[str, object] = {}

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


def registered_entry(
    name: str, registry: Registry, seen: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return what ``models`` says of a name, merged over what it extends.

    A part that names another plugin takes none of the options of the one before it.

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
    base = registered_entry(str(parent), registry, (*seen, name))
    kept = {key: value for key, value in base.items() if not _names_another(key, value, entry)}
    return merged(kept, entry)


def _names_another(section: str, before: object, entry: Mapping[str, object]) -> bool:
    """True if an entry has another plugin for a part than the entry that it extends."""
    after = entry.get(section)
    if section not in PARTS or not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    return bool(after.get("name", before.get("name")) != before.get("name"))


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
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
