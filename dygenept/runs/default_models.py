"""Which models run when none is named, and why."""

from __future__ import annotations

from dataclasses import dataclass

from dygenept.errors import ConfigError
from dygenept.model.assembly import is_baseline, named_assembly
from dygenept.model.baselines import configured_baseline
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import Variant
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import BaselineSpec

CONTROL_FACETS = ("identity", "shuffled")


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The models that run when none is named, and why.

    Attributes:
        models: Their names.
        reason: Why these.
        controls: The assembly among them with other facets, which show what its knowledge adds.
    """

    models: tuple[str, ...]
    reason: str
    controls: tuple[Variant, ...] = ()


def default_models(environment: Environment, *, effects: bool = False) -> ModelChoice:
    """Pick the closed-form baselines and the best assembly whose requirements are at hand.

    Args:
        environment: Registry and plugins.
        effects: The data set is a table of effects: the baselines that learn from such, also those
            that the registry names on knowledge of genes, and the fallback.
    """
    if effects:
        return _for_effects(environment)
    closed_form = {
        spec.name: _cannot_run(spec, environment)
        for spec in environment.manager.specs(BaselineSpec)
        if spec.closed_form and "cells" in spec.learns_from
    }
    baselines = tuple(name for name, lacks in closed_form.items() if lacks is None)
    without = "".join(
        f"; without {name}: {lacks}" for name, lacks in closed_form.items() if lacks is not None
    )
    defaults = environment.registry.defaults
    preferred, fallback = defaults.model, defaults.fallback
    missing: tuple[str, ...] = ()
    if not is_baseline(preferred, environment):
        assembly, _ = named_assembly(preferred, environment)
        missing = assembly.missing(environment)
    without += _said_of_controls(preferred if not missing else fallback, environment)
    if not missing:
        reason = f"no --model given: running the closed-form baselines and {preferred}{without}"
        return ModelChoice((*baselines, preferred), reason, _controls(preferred, environment))
    reason = (
        f"no --model given: running the closed-form baselines and {fallback}, because "
        f"{preferred} lacks weights, facets or packages that `dygenept doctor` names{without}"
    )
    return ModelChoice((*baselines, fallback), reason, _controls(fallback, environment))


def _said_of_controls(name: str, environment: Environment) -> str:
    """Say what ``_controls`` are for; nothing of a baseline, which has none."""
    if is_baseline(name, environment):
        return ""
    names = " and ".join(f"facets={facets}" for facets in CONTROL_FACETS)
    return f"; {names} beside it show what its knowledge adds (not where --facets is given)"


def _controls(name: str, environment: Environment) -> tuple[Variant, ...]:
    """Return an assembly without knowledge (gene codes only) and with that of other genes."""
    if is_baseline(name, environment):
        return ()
    return tuple(Variant(name, Overrides(parts={}, facets=facets)) for facets in CONTROL_FACETS)


def _for_effects(environment: Environment) -> ModelChoice:
    learning = [
        spec.name
        for spec in environment.manager.specs(BaselineSpec)
        if "effects" in spec.learns_from
    ]
    named = [
        name
        for name in environment.registry.models
        if is_baseline(name, environment)
        and configured_baseline(name, environment).spec.name in learning
    ]
    fallback = environment.registry.defaults.fallback
    reason = (
        "no --model given: running the closed-form baselines that learn from tables of effects, "
        f"and {fallback}{_said_of_controls(fallback, environment)}"
    )
    controls = _controls(fallback, environment)
    return ModelChoice((*learning, *named, fallback), reason, controls)


def closed_form_models(environment: Environment) -> tuple[str, ...]:
    """Return the closed-form baselines that run here with their defaults."""
    return tuple(
        spec.name
        for spec in environment.manager.specs(BaselineSpec)
        if spec.closed_form
        and "cells" in spec.learns_from
        and _cannot_run(spec, environment) is None
    )


def _cannot_run(spec: BaselineSpec, environment: Environment) -> str | None:
    """Say why a baseline does not run with its defaults; None where it does."""
    try:
        return environment.configured(BaselineSpec, spec.name).missing()
    except ConfigError as error:
        return str(error)
