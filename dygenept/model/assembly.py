"""An assembly of parts with validated options: made from text once, then passed along a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from dygenept.knowledge.catalog import facet_sets
from dygenept.knowledge.graph.sources import KgChoice, check_graph_options
from dygenept.model.assembly_text import PARTS, AssemblyText, merged, registered_entry
from dygenept.model.knowledge import (
    AssemblyKnowledge,
    TableLikeness,
    facet_document,
    facet_plugins,
    missing_facets,
)
from dygenept.model.overrides import NO_OVERRIDES, Overrides, from_dotlist, split_overrides
from dygenept.model.training.options import TableOptions, TrainingOptions
from dygenept.plugin.configured import ConfiguredPlugin
from dygenept.plugin.environment import Environment
from dygenept.plugin.registry import merge
from dygenept.plugin.specs import (
    AttentionSpec,
    BaselineSpec,
    CellEncoderSpec,
    DecoderSpec,
    GeneEncoderSpec,
    KgSourceSpec,
    PluginSpec,
)
from dygenept.plugin.yaml_files import validated
from dygenept.types.results import Provenance

if TYPE_CHECKING:
    from dygenept.knowledge.graph.sources import ImputationOptions
    from dygenept.model.effects.table_model import TableParts
    from dygenept.model.estimator import DyGenePTModel
    from dygenept.model.network import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A DyGenePT model before it is built: four parts, gene knowledge, and how it is trained.

    Attributes:
        text: What it was made from; a trained model's folder keeps it.
        gene_encoder: The gene encoder with its options; likewise the other parts.
        cell_encoder: See ``gene_encoder``.
        attention: See ``gene_encoder``.
        decoder: See ``gene_encoder``.
        graphs: Knowledge graphs that unknown facets are imputed from.
        imputation: How they are imputed; None where there is no knowledge graph.
        training: Options of training and prediction.
        table: Options of gradient steps on a table of effects.
    """

    text: AssemblyText
    gene_encoder: ConfiguredPlugin[GeneEncoderSpec]
    cell_encoder: ConfiguredPlugin[CellEncoderSpec]
    attention: ConfiguredPlugin[AttentionSpec]
    decoder: ConfiguredPlugin[DecoderSpec]
    graphs: tuple[ConfiguredPlugin[KgSourceSpec], ...]
    imputation: ImputationOptions | None
    training: TrainingOptions
    table: TableOptions

    @classmethod
    def of(cls, text: AssemblyText, environment: Environment) -> Assembly:
        """Find the plugins that a text names and validate every option.

        Raises:
            ConfigError: If a key is unknown or a value not allowed; the nearest key is named.
            PluginError: If a plugin is unknown.
        """

        def graph(name: str) -> ConfiguredPlugin[KgSourceSpec]:
            return environment.configured(KgSourceSpec, name, text.kg[name], where=f"kg.{name}")

        gene, cell = text.part("gene_encoder"), text.part("cell_encoder")
        attention, decoder = text.part("attention"), text.part("decoder")
        find = environment.configured
        return cls(
            text=text,
            gene_encoder=find(GeneEncoderSpec, *gene, where="gene_encoder"),
            cell_encoder=find(CellEncoderSpec, *cell, where="cell_encoder"),
            attention=find(AttentionSpec, *attention, where="attention"),
            decoder=find(DecoderSpec, *decoder, where="decoder"),
            graphs=tuple(graph(name) for name in text.kg),
            imputation=(
                text.kg_choice.imputation_options() if text.kg or text.imputation else None
            ),
            training=validated(TrainingOptions, text.training, "training"),
            table=validated(TableOptions, text.table, "table"),
        )

    @property
    def parts(self) -> Mapping[str, ConfiguredPlugin[PluginSpec]]:
        """The four parts by section, in the order of the walk."""
        return {
            "gene_encoder": self.gene_encoder,
            "cell_encoder": self.cell_encoder,
            "attention": self.attention,
            "decoder": self.decoder,
        }

    @property
    def width(self) -> int:
        """Embedding width D of all parts."""
        return self.text.width

    @property
    def facets(self) -> str:
        """Name of a facet set, or a knowledge file."""
        return self.text.facets

    @property
    def kg(self) -> KgChoice:
        """The knowledge graphs and how to impute from them."""
        return self.text.kg_choice

    def labelled(self, shown: str, environment: Environment) -> str:
        """Add what must stand in a model's name: ``dygenept[…] (random weights)``.

        Parts say it of themselves; facets without content are named here.
        """
        found = [part.label for part in self.parts.values()]
        entry = facet_sets(environment).get(self.facets)
        if entry is not None and entry.transform == "gaussian":
            found.append("random facets")
        labels = dict.fromkeys(label for label in found if label is not None)
        return f"{shown} ({', '.join(labels)})" if labels else shown

    def complete_config(self, environment: Environment) -> dict[str, object]:
        """Return the configuration with every default written out, ready for JSON.

        Records contain it, and a record's key depends on it.
        """
        document: dict[str, object] = self.text.model_dump(mode="json", exclude={"summary"})
        for section, part in self.parts.items():
            document[section] = part.document()
        document["training"] = asdict(self.training)
        document["table"] = asdict(self.table)
        # Without a graph nothing is imputed, so the options of the imputation decide nothing.
        document |= {"kg": [], "imputation": {}}
        if self.graphs and self.imputation is not None:
            document["kg"] = {
                graph.name: graph.options.model_dump(mode="json") for graph in self.graphs
            }
            document["imputation"] = self.imputation.model_dump()
        return document | facet_document(self.facets, environment)

    def plugins(self, environment: Environment) -> tuple[Provenance, ...]:
        """Provenance of the parts, of what is behind the facet set, and of the graphs."""
        return (
            *(part.provenance for part in self.parts.values()),
            *facet_plugins(self.facets, environment),
            *(graph.provenance for graph in self.graphs),
        )

    def missing(self, environment: Environment) -> tuple[str, ...]:
        """Say what it needs that is not on this machine, one sentence each."""
        lacks = (part.missing() for part in self.parts.values())
        return (
            *missing_facets(self.facets, environment, self.kg),
            *(lack for lack in lacks if lack is not None),
        )

    def network_parts(self) -> Parts:
        """Bind the four parts' factories to their configurations."""
        from dygenept.model.network import Parts

        gene, cell = self.gene_encoder, self.cell_encoder
        attention, decoder = self.attention, self.decoder
        return Parts(
            gene_encoder=lambda context: gene.spec.factory(gene.options, context),
            cell_encoder=lambda context: cell.spec.factory(cell.options, context),
            attention=lambda width: attention.spec.factory(attention.options, width),
            decoder=lambda context: decoder.spec.factory(decoder.options, context),
            description=" ".join(
                f"{part.name}={part.options.model_dump_json()}" for part in self.parts.values()
            ),
        )

    def knowledge(self, environment: Environment) -> AssemblyKnowledge:
        """Return what opens the facet set for given genes."""
        spec = self.gene_encoder.spec
        widen = None if spec.widen is None else partial(spec.widen, self.gene_encoder.options)
        return AssemblyKnowledge(self.facets, self.kg, environment, widen)

    def build(self, environment: Environment) -> DyGenePTModel:
        """Build an untrained DyGenePT model."""
        from dygenept.model.estimator import DyGenePTModel

        return DyGenePTModel(
            parts=self.network_parts(),
            knowledge=self.knowledge(environment),
            width=self.width,
            options=self.training,
            of_table=self.table_parts(environment),
        )

    def table_parts(self, environment: Environment) -> TableParts:
        """Return what the model is made of on tables of effects."""
        from dygenept.model.effects.table_model import TableParts

        likeness = TableLikeness(self.facets, self.text.links, environment)
        return TableParts(
            parts=self.network_parts(),
            likeness=likeness,
            options=self.table,
            more=likeness.more,
        )


def named_assembly(
    name: str, environment: Environment, overrides: Overrides = NO_OVERRIDES
) -> tuple[Assembly, str]:
    """Make a registered assembly with the changes that are asked for.

    A swapped part starts from the new plugin's defaults and keeps those options of the old one
    that the new one also has.

    Returns:
        The assembly, and the model's shown name, such as ``dygenept_small[attention=softmax]``.

    Raises:
        ConfigError: If a key is unknown or a value not allowed; the nearest key is named.
        PluginError: If a plugin is unknown.
    """
    overrides, own = split_overrides(name, overrides, model_names(environment))
    registered = registered_entry(name, environment.registry)
    document = registered
    if overrides.document:
        document = merged(document, overrides.document)
    for section, plugin in overrides.parts.items():
        document = merge(document, {section: {"name": plugin}})
    if overrides.facets is not None:
        document = merge(document, {"facets": overrides.facets})
    if overrides.kg is not None:
        document = merged(document, {"kg": overrides.kg})
    sets = from_dotlist(overrides.sets)
    check_graph_options(sets.get("kg"), document.get("kg"))
    document = merged(merged(document, sets), own)
    document = _without_foreign_options(registered, document, environment)
    text = validated(AssemblyText, document, name)
    shown = _shown_name(name, validated(AssemblyText, registered, name), text)
    return Assembly.of(text, environment), shown


def model_names(environment: Environment) -> tuple[str, ...]:
    """Every name that ``--model`` takes: assemblies and named baselines, then baseline plugins."""
    baselines = environment.manager.names(BaselineSpec.kind)
    return tuple(dict.fromkeys((*environment.registry.models, *baselines)))


def is_baseline(name: str, environment: Environment) -> bool:
    """True if a name is not that of an assembly: a baseline plugin, or an entry that names one."""
    registry = environment.registry
    return name not in registry.models or "baseline" in registered_entry(name, registry)


def _without_foreign_options(
    registered: Mapping[str, object], document: Mapping[str, object], environment: Environment
) -> dict[str, object]:
    """Drop, where a part was swapped, options of the old plugin that the new one lacks."""
    result = dict(document)
    for section, spec_class in PARTS.items():
        before, after = registered.get(section), result.get(section)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            continue
        if before.get("name") == after.get("name"):
            continue
        spec = environment.manager.get(spec_class, str(after.get("name")))
        allowed = spec.config.model_fields
        # An option that was set for the new plugin stays, so that a slip in it is refused.
        result[section] = {
            key: value
            for key, value in after.items()
            if key == "name" or key in allowed or before.get(key) != value
        }
    return result


def _shown_name(name: str, before: AssemblyText, after: AssemblyText) -> str:
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


def _settings(text: AssemblyText) -> dict[str, object]:
    """Return every setting by its dotted key; the knowledge graphs' names stand under ``kg``."""
    return {**_flat(text.model_dump()), "kg": tuple(text.kg)}


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
