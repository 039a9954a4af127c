"""From the flags that say what is benchmarked to the request that a run is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.runs.runner import BenchRequest
    from dygenept.runs.suites import Suite


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags say of the benchmark; None, or no metric, leaves it to the suite.

    Attributes:
        dataset: ``--dataset``.
        suite: ``--suite``.
        split: ``--split``: a protocol, or a JSON file of labels.
        n_folds: ``--folds``.
        seed: ``--seed``.
        metrics: ``--metric``.
        require_gene_in: ``--require-gene-in``.
        de_list: ``--de-list``.
        scale: ``--scale``.
    """

    dataset: str | None
    suite: str | None = None
    split: str | None = None
    n_folds: int | None = None
    seed: int | None = None
    metrics: tuple[str, ...] = ()
    require_gene_in: str | None = None
    de_list: str | None = None
    scale: float | None = None

    def identity_under(self, declared: Suite) -> str:
        """Return what records call the benchmark: a suite's name and version, or ``custom``.

        A suite's name means its protocol: with another protocol it is a custom benchmark.
        """
        pairs = (
            (self.split, declared.split),
            (self.n_folds, declared.n_folds),
            (self.seed, declared.seed),
            (self.de_list, declared.de_list),
            (self.scale, declared.scale),
            (self.require_gene_in, None),
        )
        is_changed = any(given not in (None, own) for given, own in pairs)
        return "custom" if self.suite is None or is_changed else declared.identity

    def split_under(self, declared: Suite) -> tuple[str, dict[str, object]]:
        """Return the split plugin and its options.

        Raises:
            ConfigError: If the file of labels is not there.
        """
        from dygenept.errors import ConfigError

        if self.split is None:
            name, chosen = declared.split, dict(declared.split_options)
        elif self.split.endswith(".json"):
            if not Path(self.split).is_file():
                raise ConfigError(
                    f"no file {self.split}; give --split a JSON file of train, val and test "
                    "labels, or a protocol such as kfold"
                )
            name, chosen = "manifest", {"path": self.split}
        else:
            name, chosen = self.split, {}
        if self.require_gene_in is not None:
            chosen["require_gene_in"] = self.require_gene_in
        return name, chosen


def declared_suite(asked: Asked, environment: Environment) -> Suite:
    """Return the suite that is named, or one made of the registry's defaults.

    Raises:
        ConfigError: If there is no such suite, or neither a suite nor a data set is named.
    """
    from dygenept.errors import ConfigError
    from dygenept.runs.suites import Suite
    from dygenept_cli.bundled_suites import bundled_suite

    dataset = asked.dataset
    if asked.suite is not None:
        declared = bundled_suite(asked.suite)
        return declared if dataset is None else declared.model_copy(update={"datasets": (dataset,)})
    if dataset is None:
        raise ConfigError(
            "name what to run: --dataset NAME|FILE (see `dygenept data list`) or --suite quick"
        )
    defaults = environment.registry.defaults
    return Suite(
        name="custom",
        version=1,
        summary="",
        datasets=(dataset,),
        split=defaults.split,
        n_folds=defaults.n_folds,
        seed=defaults.seed,
        de_list=defaults.de_list,
    )


def request_under(
    declared: Suite, asked: Asked, *, dataset: str, results: Path, normalize: bool
) -> BenchRequest:
    """Return the request for one data set of a suite, without models."""
    from dygenept.runs.runner import BenchRequest

    split, split_options = asked.split_under(declared)
    return BenchRequest(
        dataset=dataset,
        suite=asked.identity_under(declared),
        split=split,
        split_options=split_options,
        n_folds=declared.n_folds if asked.n_folds is None else asked.n_folds,
        seed=declared.seed if asked.seed is None else asked.seed,
        metrics=asked.metrics or tuple(declared.metrics),
        de_list=asked.de_list or declared.de_list,
        scale=declared.scale if asked.scale is None else asked.scale,
        results=results,
        normalize=normalize,
    )
