"""Looks, before the first job, whether each baseline has what it needs; builds environments.

It also tells apart the records of an isolated model whose script was edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dygenept.errors import DygeneptError, EnvironmentBuildError
from dygenept.model.baselines import file_digest
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.isolated.building import build_environment
from dygenept.types import Progress


def with_script(model: ResolvedModel) -> ResolvedModel:
    """Put the hash of an isolated model's script into its configuration, and so into its key.

    A model that cannot be built keeps its key: its own jobs tell what is wrong.
    """
    if model.baseline is None or model.baseline.spec.environment is None:
        return model
    from dygenept.plugin.isolated.model import IsolatedModel

    try:
        with plugin_code(model.name):
            built = model.build()
    except DygeneptError:
        return model
    digest = file_digest(str(built.script)) if isinstance(built, IsolatedModel) else None
    if digest is None:
        return model
    return replace(model, config={**model.config, "script_sha256": digest})


def unready_models(
    models: Sequence[ResolvedModel], cache_dir: Path, report: Callable[[Progress], None]
) -> dict[str, str]:
    """Say why models cannot run here, by shown name; the others of a run go on without them.

    A model that says that a file is missing is not built for; a model with an environment of its
    own gets it built, once for the whole run.
    """
    unready: dict[str, str] = {}
    for model in models:
        if model.baseline is None:
            continue
        lacking = model.baseline.missing()
        if lacking is not None:
            unready[model.name] = lacking
            continue
        if model.baseline.spec.environment is None:
            continue
        spec = model.baseline.spec.environment(model.baseline.options)
        try:
            build_environment(spec, cache_dir, report, name=model.name)
        except EnvironmentBuildError as error:
            unready[model.name] = (
                f"its environment cannot be built: {error}; try again with "
                f"`dygenept env build {model.baseline.spec.name}`"
            )
    return unready
