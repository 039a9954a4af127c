"""DyGenePT: a benchmark harness for models of gene perturbation effects.

The core contains the contracts and the walk: data set, split, gene knowledge, model, predictions,
metrics, results, leaderboard. It knows no plugin by name and imports no command line. The rooms
stand on each other in this order: ``errors``, ``types``, ``machine``, ``plugin``, ``knowledge``,
``data`` and ``model``, ``evaluation``, ``results`` and ``testing``, ``leaderboard``, ``runs``.
Start with ``docs/architecture.md``, then read ``runs``, which walks through all of them.
"""

__version__ = "0.1.0"
