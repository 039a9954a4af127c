"""Looks, before the first job, whether each model has what it needs; builds environments.

It also adds to a model's configuration the hashes of files that its predictions depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dygenept.errors import ConfigError, DygeneptError, EnvironmentBuildError
from dygenept.knowledge.catalog import missing_knowledge
from dygenept.knowledge.gene_embedding import is_vector_file
from dygenept.knowledge.graph.links import own_graph_hashes
from dygenept.machine.checksums import file_sha256
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.isolated.building import build_environment
from dygenept.types import Progress


def require_buildable(model: ResolvedModel, environment: Environment) -> None:
    """Refuse a model whose weights, facets or packages are not on this machine.

    Raises:
        ConfigError: As said; what is missing is named, with what mends it.
    """
    if model.assembly is not None:
        missing = model.assembly.missing(environment)
        if missing:
            raise ConfigError(
                f"{model.name} cannot be built here: {'; '.join(missing)}; without them, "
                f"--model {environment.registry.defaults.fallback} runs offline"
            )
    elif model.baseline is not None and model.baseline.knowledge is not None:
        without = _missing_embedding(model.baseline.knowledge, environment)
        if without is not None:
            raise ConfigError(f"{model.name} cannot be built here: {without}")


def _missing_embedding(facets: str, environment: Environment) -> str | None:
    if is_vector_file(facets):
        return None if Path(facets).expanduser().is_file() else f"there is no file {facets}"
    return missing_knowledge(facets, environment=environment, runtime=environment.runtime())


def with_file_hashes(model: ResolvedModel, environment: Environment) -> ResolvedModel:
    """Add the hashes of files that predictions depend on to a model's configuration, so its key.

    They are the knowledge graphs of an assembly, tables of links that take the place of shipped
    ones, and the script of an isolated baseline. Where one of them is missing or broken, nothing is
    added: the model's own jobs say what is wrong.
    """
    if model.assembly is not None:
        model = _with_graph_files(model, environment)
        own = own_graph_hashes(environment.data_dir)
        return replace(model, config={**model.config, "own_graphs": own}) if own else model
    if model.baseline is not None and model.baseline.spec.environment is not None:
        return _with_script(model)
    return model


def _with_graph_files(model: ResolvedModel, environment: Environment) -> ResolvedModel:
    if model.assembly is None or not model.assembly.graphs:
        return model
    kg, runtime = model.assembly.kg, environment.runtime()
    if kg.missing(environment.manager, runtime):
        return model
    graphs = kg.identities(environment.manager, runtime)
    return replace(model, config={**model.config, "kg_files": graphs})


def _with_script(model: ResolvedModel) -> ResolvedModel:
    from dygenept.plugin.isolated.model import IsolatedModel

    try:
        with plugin_code(model.name):
            built = model.build()
    except DygeneptError:
        return model
    if not isinstance(built, IsolatedModel) or not built.script.is_file():
        return model
    return replace(model, config={**model.config, "script_sha256": file_sha256(built.script)})


def unready_models(
    models: Sequence[ResolvedModel], environment: Environment, report: Callable[[Progress], None]
) -> dict[str, str]:
    """Say why models cannot run here, by shown name; the others of a run go on without them.

    A model that says that a file is missing is not built for; a model with an environment of its
    own gets it built, once for the whole run.
    """
    unready: dict[str, str] = {}
    for model in models:
        if model.baseline is None:
            continue
        lacks = model.baseline.plugin.missing()
        if lacks is not None:
            unready[model.name] = lacks
            continue
        if model.baseline.spec.environment is None:
            continue
        spec = model.baseline.spec.environment(model.baseline.options)
        try:
            build_environment(spec, environment.cache_dir, report, name=model.name)
        except EnvironmentBuildError as error:
            unready[model.name] = (
                f"its environment cannot be built: {error}; try again with "
                f"`dygenept env build {model.baseline.spec.name}`"
            )
    return unready
