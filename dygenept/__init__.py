"""DyGenePT: a benchmark harness for models of gene perturbation effects.

The core holds the contracts and the walk: data set, split, gene knowledge, model, predictions,
metrics, results, leaderboard. It knows no plugin by name and imports no command line.
"""

__version__ = "0.1.0"
