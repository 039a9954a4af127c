"""DyGenePT: a benchmark harness for models of gene perturbation effects.

``import dygenept as dg`` gives what a script or a notebook needs: ``load_dataset``, ``bench``,
``score``, ``load_model`` and ``precompute``, with ``Environment`` where the defaults do not fit.
Names are loaded on first use, so that the import itself takes no time.

The rooms, from the ground up: ``types``, ``machine``, ``plugin``, ``knowledge``, ``data`` and
``model`` (neither knows the other), ``evaluation``, ``results`` and ``testing``, ``leaderboard``,
``runs``. The core imports no plugin and no command line. ``docs/architecture.md``
shows the walk through them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.runs.api import bench, load_dataset, load_model, precompute, score
    from dygenept.runs.bench_result import BenchResult
    from dygenept.runs.loaded_model import LoadedModel
    from dygenept.types import PerturbationData

__version__ = "0.1.0"

__all__ = [
    "BenchResult",
    "Environment",
    "LoadedModel",
    "PerturbationData",
    "bench",
    "load_dataset",
    "load_model",
    "precompute",
    "score",
]

_HOMES = {
    "BenchResult": "dygenept.runs.bench_result",
    "Environment": "dygenept.plugin.environment",
    "LoadedModel": "dygenept.runs.loaded_model",
    "PerturbationData": "dygenept.types",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES.get(name, "dygenept.runs.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
