"""Finds a model by name: a baseline plugin or a registered assembly, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from dygenept.errors import ConfigError, nearest
from dygenept.model.assembly import Assembly, is_baseline, model_names, named_assembly
from dygenept.model.assembly_text import AssemblyText
from dygenept.model.baselines import ConfiguredBaseline, configured_baseline
from dygenept.model.knowledge import facet_document, facet_plugins
from dygenept.model.overrides import NO_OVERRIDES, Overrides, addressed, combined, split_overrides
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import Model
from dygenept.types.results import Provenance

# What records of predictions that somebody handed in have as their base model.
SUBMITTED = "submitted"
# What records of a model that was handed over as an object name as its distribution.
OBJECT = "object"


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that can be built.

    Attributes:
        name: Shown name, with swapped parts.
        base: Registered name.
        role: ``model`` for an assembly, ``submitted`` for predictions that somebody handed in, else
            the baseline's role.
        needs_cells: True if it reads single cells.
        config: The complete configuration, JSON-ready; part of a result's key.
        plugins: Provenance of every plugin in it.
        build: Makes an untrained model.
        assembly: The assembly; None for a baseline.
        uses_device: True if it computes on the run's device.
        baseline: The plugin and its options, where it is not an assembly.
        reads_halves: True if it reads halves of the held-out cells, where it is given the truth.
        learns_from: Kinds of data sets that it learns from.
        trained_by: Which code trained it, where that is not the present code; part of a result's
            key, so that no result of the present code is taken for it, or it for one.
    """

    name: str
    base: str
    role: Literal["model", "baseline", "ceiling", "floor", "submitted"]
    needs_cells: bool
    config: Mapping[str, object]
    plugins: tuple[Provenance, ...]
    build: Callable[[], Model]
    assembly: Assembly | None = None
    uses_device: bool = True
    baseline: ConfiguredBaseline | None = None
    reads_halves: bool = True
    learns_from: tuple[str, ...] = ("cells",)
    trained_by: str = ""

    @property
    def is_oracle(self) -> bool:
        """True if it is given the truth and so competes with no one."""
        return self.role in ("ceiling", "floor")

    @classmethod
    def from_assembly(
        cls, assembly: Assembly, environment: Environment, *, name: str, base: str
    ) -> ResolvedModel:
        """Put an assembly behind the protocol of all models.

        Args:
            assembly: The assembly.
            environment: Knows its facet set.
            name: Shown name, labels included.
            base: Registered name.
        """
        return cls(
            name=name,
            base=base,
            role="model",
            needs_cells=True,
            config=assembly.complete_config(environment),
            plugins=assembly.plugins(environment),
            build=partial(assembly.build, environment),
            assembly=assembly,
            learns_from=("cells", "effects"),
        )

    @classmethod
    def from_baseline(
        cls, baseline: ConfiguredBaseline, environment: Environment, *, base: str
    ) -> ResolvedModel:
        """Put a baseline behind the protocol of all models.

        Args:
            baseline: The plugin and its options.
            environment: Knows the facet set that it reads, if any.
            base: Registered name.
        """
        spec, facets = baseline.spec, baseline.knowledge
        config = baseline.options.model_dump(mode="json")
        plugins = [baseline.plugin.provenance]
        if facets is not None:
            config |= facet_document(facets, environment)
            plugins += facet_plugins(facets, environment)
        return cls(
            name=baseline.shown,
            base=base,
            role=spec.role,
            needs_cells=spec.needs_cells,
            config=config,
            plugins=tuple(plugins),
            build=partial(spec.factory, baseline.options),
            uses_device=spec.uses_device,
            baseline=baseline,
            reads_halves=spec.reads_halves,
            learns_from=spec.learns_from,
        )

    @classmethod
    def from_submission(
        cls, name: str, config: Mapping[str, object], build: Callable[[], Model]
    ) -> ResolvedModel:
        """Put predictions that somebody handed in behind the protocol of all models.

        Args:
            name: How leaderboards call them.
            config: What identifies them.
            build: Makes what returns them.
        """
        return cls(
            name=name,
            base=SUBMITTED,
            role="submitted",
            needs_cells=False,
            config=config,
            plugins=(),
            build=build,
            uses_device=False,
            learns_from=("cells", "effects"),
        )

    @classmethod
    def from_object(
        cls,
        name: str,
        *,
        of_class: str,
        state: object,
        code: str,
        build: Callable[[], Model],
    ) -> ResolvedModel:
        """Put a model that a user hands over as an object behind the protocol of all models.

        Args:
            name: Shown name.
            of_class: Dotted name of its class.
            state: What it was made with, JSON-ready.
            code: Hash of its class's sources.
            build: Makes an untrained copy.
        """
        return cls(
            name=name,
            base=name,
            role="baseline",
            needs_cells=True,
            config={OBJECT: of_class, "state": state},
            plugins=(Provenance("baselines", name, of_class, OBJECT, code, code_sha256=code),),
            build=build,
            learns_from=("cells", "effects"),
        )


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
    environment: Environment,
    overrides: Overrides = NO_OVERRIDES,
    variants: Sequence[Variant] = (),
) -> tuple[ResolvedModel, ...]:
    """Resolve models by name; overrides change every assembly among them, or the one they name.

    Args:
        names: Baselines and registered assemblies.
        environment: Knows the assemblies, the baselines and the parts.
        overrides: Changes to every assembly, variants too.
        variants: Further assemblies; those that come out alike count once.

    Raises:
        ConfigError: If a name or key is unknown, or overrides are given and nothing takes them.
        PluginError: If a part's plugin is unknown.
    """
    models = tuple(resolve_model(name, environment, overrides) for name in dict.fromkeys(names))
    swapped = (
        resolve_model(item.model, environment, combined(item.overrides, overrides))
        for item in variants
    )
    models = tuple({model.name: model for model in (*models, *swapped)}.values())
    known = model_names(environment)
    for name in addressed(overrides, known):
        if name not in (*names, *(item.model for item in variants)):
            raise ConfigError(
                f"options were set for {name}, which is not among the models of this run "
                f"({', '.join(names)}); add --model {name}"
            )
    shared, _ = split_overrides("", overrides, known)
    for item in shared.sets:
        first = item.partition("=")[0].partition(".")[0]
        if first not in AssemblyText.model_fields:
            hint = nearest(first, (*AssemblyText.model_fields, *names))
            raise ConfigError(f"--set {item}: unknown key {first!r}; {hint}")
    if not shared.is_empty and not any(model.role == "model" for model in models):
        some = next(iter(environment.registry.models), "NAME")
        raise ConfigError(
            "flags that swap parts or set options change only assembled models, and none is "
            f"among {', '.join(names)}; add --model {some}"
        )
    return models


def resolve_model(
    name: str, environment: Environment, overrides: Overrides = NO_OVERRIDES
) -> ResolvedModel:
    """Resolve one model by name.

    Raises:
        ConfigError: If the name is unknown, or a configuration is not allowed.
    """
    if is_baseline(name, environment):
        baseline = configured_baseline(name, environment, overrides)
        return ResolvedModel.from_baseline(baseline, environment, base=name)
    assembly, shown = named_assembly(name, environment, overrides)
    return ResolvedModel.from_assembly(
        assembly, environment, name=assembly.labelled(shown, environment), base=name
    )
