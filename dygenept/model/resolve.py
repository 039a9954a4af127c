"""Finds a model by name: a baseline plugin or a registered assembly, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dygenept.errors import ConfigError, nearest
from dygenept.knowledge.catalog import (
    FacetSetEntry,
    facet_sets,
    is_imputed_already,
    missing_knowledge,
    open_knowledge,
)
from dygenept.machine.folders import default_cache_dir, default_data_dir
from dygenept.model.baselines import ConfiguredBaseline, configured_baseline, file_digest
from dygenept.model.config import (
    NO_OVERRIDES,
    PARTS,
    AssemblyConfig,
    Overrides,
    addressed,
    assembly_config,
    combined,
    is_baseline,
    model_names,
    split_overrides,
    training_options,
)
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import Model
from dygenept.plugin.manager import PluginManager, Provenance
from dygenept.plugin.registry import Registry
from dygenept.plugin.requirements import lacking
from dygenept.plugin.specs import FacetWriterSpec, KgSourceSpec, TextEncoderSpec
from dygenept.types import GeneKnowledge, KnowledgeReader, Runtime

if TYPE_CHECKING:
    from dygenept.model.assembly import Parts
    from dygenept.model.estimator import DyGenePTModel


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be built.

    Attributes:
        name: Shown name, with swapped parts.
        base: Registered name.
        role: ``model`` for an assembly, else the baseline's role.
        needs_cells: True if it reads single cells.
        config: The complete configuration, JSON-ready; part of a result's key.
        plugins: Provenance of every plugin in it.
        build: Makes an untrained model.
        assembly: The resolved assembly; None for a baseline.
        uses_device: True if it computes on the run's device.
        baseline: The plugin and its options, where it is no assembly.
    """

    name: str
    base: str
    role: Literal["model", "baseline", "ceiling", "floor"]
    needs_cells: bool
    config: Mapping[str, object]
    plugins: tuple[Provenance, ...]
    build: Callable[[], Model]
    assembly: AssemblyConfig | None = None
    uses_device: bool = True
    baseline: ConfiguredBaseline | None = None

    @property
    def is_oracle(self) -> bool:
        """True if it is handed the truth and so competes with no one."""
        return self.role in ("ceiling", "floor")


@dataclass(frozen=True, slots=True)
class Variant:
    """An assembly with parts swapped: one cell of an ablation grid.

    Attributes:
        model: Registered name.
        overrides: What is changed; what changes a whole run comes on top.
    """

    model: str
    overrides: Overrides


def resolve_models(
    names: Sequence[str],
    registry: Registry,
    manager: PluginManager,
    overrides: Overrides = NO_OVERRIDES,
    variants: Sequence[Variant] = (),
) -> tuple[ResolvedModel, ...]:
    """Resolve models by name; overrides change every assembly among them, or the one they name.

    Args:
        names: Baselines and registered assemblies.
        registry: Knows the assemblies.
        manager: Knows the baselines and parts.
        overrides: Changes to every assembly, variants too.
        variants: Further assemblies; those that come out alike count once.

    Raises:
        ConfigError: If a name or key is unknown, or overrides are given and nothing takes them.
        PluginError: If a part's plugin is unknown.
    """
    models = tuple(
        resolve_model(name, registry, manager, overrides) for name in dict.fromkeys(names)
    )
    swapped = (
        resolve_model(item.model, registry, manager, combined(item.overrides, overrides))
        for item in variants
    )
    models = tuple({model.name: model for model in (*models, *swapped)}.values())
    known = model_names(registry, manager)
    for name in addressed(overrides, known):
        if name not in (*names, *(item.model for item in variants)):
            raise ConfigError(
                f"options were set for {name}, which is not among the models of this run "
                f"({', '.join(names)}); add --model {name}"
            )
    shared, _ = split_overrides("", overrides, known)
    for item in shared.sets:
        first = item.partition("=")[0].partition(".")[0]
        if first not in AssemblyConfig.model_fields:
            hint = nearest(first, (*AssemblyConfig.model_fields, *names))
            raise ConfigError(f"--set {item}: unknown key {first!r}; {hint}")
    if not shared.is_empty and not any(model.role == "model" for model in models):
        raise ConfigError(
            "flags that swap parts or set options change assembled models alone, and none is "
            f"among {', '.join(names)}; add --model {next(iter(registry.models), 'NAME')}"
        )
    return models


def resolve_model(
    name: str,
    registry: Registry,
    manager: PluginManager,
    overrides: Overrides = NO_OVERRIDES,
) -> ResolvedModel:
    """Resolve one model by name.

    Raises:
        ConfigError: If the name is unknown, or a configuration is not allowed.
    """
    if not is_baseline(name, registry):
        config, shown = assembly_config(name, registry, manager, overrides)
        plugins = [manager.provenance(PARTS[part].kind, config.part(part)[0]) for part in PARTS]
        return ResolvedModel(
            name=labelled(shown, config, registry, manager),
            base=name,
            role="model",
            needs_cells=True,
            config=complete_config(config, registry, manager),
            plugins=(*plugins, *knowledge_plugins(config, registry, manager)),
            build=lambda: build_assembly(config, registry, manager),
            assembly=config,
        )
    baseline = configured_baseline(name, registry, manager, overrides)
    spec, options = baseline.spec, baseline.options
    document = options.model_dump(mode="json")
    facets = baseline.knowledge
    if facets is not None:
        document.update(_knowledge_document(facets, registry))
    return ResolvedModel(
        name=baseline.shown,
        base=name,
        role=spec.role,
        needs_cells=spec.needs_cells,
        config=document,
        plugins=(
            manager.provenance(spec.kind, spec.name),
            *facet_plugins(facets, registry, manager),
        ),
        build=lambda: spec.factory(options),
        uses_device=spec.uses_device,
        baseline=baseline,
    )


def _knowledge_document(facets: str, registry: Registry) -> dict[str, object]:
    """Say in a configuration what a facet set or file holds, so that a record's key tells."""
    if facets in registry.facets:
        return {"facet_set": facet_sets(registry)[facets].model_dump(mode="json")}
    digest = file_digest(facets)
    return {} if digest is None else {"knowledge_sha256": digest}


def labelled(shown: str, config: AssemblyConfig, registry: Registry, manager: PluginManager) -> str:
    """Add what must stand in a model's name: ``dygenept[…] (random weights)``.

    Parts say it of themselves; facets without content are named here.
    """
    labels = []
    for section, spec_class in PARTS.items():
        plugin, options = config.part(section)
        spec = manager.get(spec_class, plugin)
        label = None if spec.label is None else spec.label(manager.configure(spec, options))
        if label is not None and label not in labels:
            labels.append(label)
    entry = facet_sets(registry).get(config.facets)
    if entry is not None and entry.transform == "gaussian":
        labels.append("random facets")
    return f"{shown} ({', '.join(labels)})" if labels else shown


def complete_config(
    config: AssemblyConfig, registry: Registry, manager: PluginManager
) -> dict[str, object]:
    """Return the configuration with every default written out."""
    from dataclasses import asdict

    document: dict[str, object] = config.model_dump(mode="json")
    for section, spec_class in PARTS.items():
        plugin, options = config.part(section)
        spec = manager.get(spec_class, plugin)
        document[section] = {
            "name": plugin,
            **manager.configure(spec, options).model_dump(mode="json"),
        }
    document["training"] = asdict(training_options(config))
    document |= graph_config(config, manager)
    document |= _knowledge_document(config.facets, registry)
    document.pop("summary")
    return document


def graph_config(config: AssemblyConfig, manager: PluginManager) -> dict[str, object]:
    """Return the knowledge graphs of an assembly with every default written out."""
    if not config.kg:
        return {"kg": [], "imputation": {}}
    graphs = {
        name: manager.configure(manager.get(KgSourceSpec, name), options).model_dump(mode="json")
        for name, options in config.kg.items()
    }
    return {"kg": graphs, "imputation": config.kg_choice.imputation_options().model_dump()}


def knowledge_plugins(
    config: AssemblyConfig, registry: Registry, manager: PluginManager
) -> tuple[Provenance, ...]:
    """Provenance of the facet writer, the text encoder and the graphs behind a facet set."""
    graphs = [manager.provenance(KgSourceSpec.kind, name) for name in config.kg]
    return (*facet_plugins(config.facets, registry, manager), *graphs)


def facet_plugins(
    facets: str | None, registry: Registry, manager: PluginManager
) -> tuple[Provenance, ...]:
    """Provenance of the facet writer and text encoder behind a facet set; none for a file."""
    if facets is None:
        return ()
    entries = facet_sets(registry)
    entry = entries.get(facets)
    while entry is not None and entry.base is not None:
        entry = entries.get(entry.base)
    if entry is None:
        return ()
    found = []
    if entry.writer is not None:
        found.append(manager.provenance("facet_writers", entry.writer))
    if entry.encoder is not None:
        found.append(manager.provenance("text_encoders", entry.encoder))
    return tuple(found)


def build_parts(config: AssemblyConfig, manager: PluginManager) -> Parts:
    """Bind the four parts' factories to their configurations."""
    from dygenept.model.assembly import Parts
    from dygenept.plugin.specs import AttentionSpec, CellEncoderSpec, DecoderSpec, GeneEncoderSpec

    gene_name, gene_options = config.part("gene_encoder")
    cell_name, cell_options = config.part("cell_encoder")
    attention_name, attention_options = config.part("attention")
    decoder_name, decoder_options = config.part("decoder")
    gene, cell = manager.get(GeneEncoderSpec, gene_name), manager.get(CellEncoderSpec, cell_name)
    attention = manager.get(AttentionSpec, attention_name)
    decoder = manager.get(DecoderSpec, decoder_name)
    gene_config = manager.configure(gene, gene_options)
    cell_config = manager.configure(cell, cell_options)
    attention_config = manager.configure(attention, attention_options)
    decoder_config = manager.configure(decoder, decoder_options)
    return Parts(
        gene_encoder=lambda context: gene.factory(gene_config, context),
        cell_encoder=lambda context: cell.factory(cell_config, context),
        attention=lambda width: attention.factory(attention_config, width),
        decoder=lambda context: decoder.factory(decoder_config, context),
        description=" ".join(
            f"{name}={options.model_dump_json()}"
            for name, options in (
                (gene_name, gene_config),
                (cell_name, cell_config),
                (attention_name, attention_config),
                (decoder_name, decoder_config),
            )
        ),
    )


def build_assembly(
    config: AssemblyConfig, registry: Registry, manager: PluginManager
) -> DyGenePTModel:
    """Build an untrained DyGenePT model."""
    from dygenept.model.estimator import DyGenePTModel

    return DyGenePTModel(
        parts=build_parts(config, manager),
        knowledge=knowledge_reader(config, registry, manager),
        width=config.width,
        options=training_options(config),
    )


def _environment(registry: Registry, manager: PluginManager) -> Environment:
    return Environment(
        registry=registry,
        manager=manager,
        data_dir=default_data_dir(),
        cache_dir=default_cache_dir(),
    )


def knowledge_reader(
    config: AssemblyConfig, registry: Registry, manager: PluginManager
) -> Callable[[Sequence[str], Runtime], GeneKnowledge]:
    """Return a function that opens an assembly's facet set for given genes."""
    environment = _environment(registry, manager)

    def read(genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        return open_knowledge(
            config.facets, genes, environment=environment, runtime=runtime, kg=config.kg_choice
        )

    return read


def registry_knowledge(registry: Registry, manager: PluginManager) -> KnowledgeReader:
    """Return what opens any facet set of the registry, or a file; goes into ``Runtime``."""
    environment = _environment(registry, manager)

    def read(name_or_file: str, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        return open_knowledge(name_or_file, genes, environment=environment, runtime=runtime)

    return read


def missing_requirements(
    config: AssemblyConfig, registry: Registry, manager: PluginManager, runtime: Runtime
) -> tuple[str, ...]:
    """Say what an assembly needs that is not on this machine, one sentence each."""
    entries = facet_sets(registry)
    environment = _environment(registry, manager)
    missing = []
    without = missing_knowledge(config.facets, environment=environment, runtime=runtime)
    if without is not None:
        missing.append(without)
    elif not is_imputed_already(
        config.facets, environment=environment, runtime=runtime, kg=config.kg_choice
    ):
        missing.extend(config.kg_choice.missing(manager, runtime))
    missing.extend(_missing_text_plugins(entries.get(config.facets), entries, manager))
    for section, spec_class in PARTS.items():
        plugin, options = config.part(section)
        spec = manager.get(spec_class, plugin)
        without = lacking(spec, manager.configure(spec, options))
        if without is not None:
            missing.append(without)
    return tuple(missing)


def _missing_text_plugins(
    entry: FacetSetEntry | None, entries: Mapping[str, FacetSetEntry], manager: PluginManager
) -> list[str]:
    """Say what the writer and encoder behind a facet set lack: weights, or a key."""
    while entry is not None and entry.base is not None:
        entry = entries.get(entry.base)
    if entry is None or entry.writer is None or entry.encoder is None:
        return []
    writer = manager.get(FacetWriterSpec, entry.writer)
    encoder = manager.get(TextEncoderSpec, entry.encoder)
    found = (
        lacking(writer, manager.configure(writer, entry.writer_options)),
        lacking(encoder, manager.configure(encoder, entry.encoder_options)),
    )
    return [without for without in found if without is not None]
