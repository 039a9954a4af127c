"""Options that say what is benchmarked, and the request that they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dygenept.errors import ConfigError
from dygenept_cli.flags import cells, options
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.runs.runner import BenchRequest
    from dygenept.runs.suites import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFlags(cells.CellsFlags):
    """How a data set is read and split; None leaves it to the suite or the registry."""

    panel: ClassVar[str] = "How it is split"

    split: str | None = flag("Split protocol, or a JSON file of labels.", metavar="NAME|FILE")
    folds: int | None = flag("Number of folds.", min=1)
    seed: options.SeedOption = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkFlags(SplitFlags):
    """What is benchmarked; None, or no metric, leaves it to the suite."""

    panel: ClassVar[str] = "What is benchmarked"

    dataset: str | None = flag(
        f"{options.DATASET_HELP} [default: the suite's].", metavar="NAME|FILE"
    )
    suite: str | None = flag(
        "Declared benchmark, such as quick (see `dygenept suites list`).", metavar="S"
    )
    metric: list[str] | None = flag(
        "Metric to score and show; may be given several times [default: the usual ones; `dygenept "
        "plugins list --kind metrics` lists all].",
        metavar="M",
    )
    require_gene_in: str | None = flag(
        "Keep only perturbations whose genes are all in this resource (kfold).", metavar="go"
    )
    de_list: str | None = flag(
        "Top-20 DE list: top_non_dropout_de_20 or top_non_zero_de_20 [default: the suite's, else "
        "the first]."
    )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics to score and show; empty for those that are shown by default."""
        return tuple(self.metric or ())

    def declared(self, environment: Environment) -> Suite:
        """Return the suite that is named, or one made of the registry's defaults.

        Raises:
            ConfigError: If there is no such suite, or neither a suite nor a data set is named.
        """
        from dygenept.runs.suites import Suite
        from dygenept_cli.bundled import bundled_suite

        if self.suite is not None:
            declared = bundled_suite(self.suite)
            own = {} if self.dataset is None else {"datasets": (self.dataset,)}
            return declared.model_copy(update=own)
        if self.dataset is None:
            raise ConfigError(
                "name what to run: --dataset NAME|FILE (see `dygenept data list`) or --suite quick"
            )
        defaults = environment.registry.defaults
        return Suite(
            name="custom",
            version=1,
            summary="",
            datasets=(self.dataset,),
            split=defaults.split,
            n_folds=defaults.n_folds,
            seed=defaults.seed,
            de_list=defaults.de_list,
        )

    def request(self, declared: Suite, *, dataset: str, results: Path) -> BenchRequest:
        """Return the request for one data set of a suite, without models."""
        from dygenept.runs.runner import BenchRequest

        split, split_options = self._split(declared)
        return BenchRequest(
            dataset=dataset,
            suite=self._identity(declared),
            split=split,
            split_options=split_options,
            n_folds=declared.n_folds if self.folds is None else self.folds,
            seed=declared.seed if self.seed is None else self.seed,
            metrics=self.metrics or tuple(declared.metrics),
            de_list=self.de_list or declared.de_list,
            scale=declared.scale if self.scale is None else self.scale,
            results=results,
            normalize=self.normalize,
            mapping=self.mapping(),
            memory=self.memory_bytes(),
            prefers_own_split=self.split is None and self.suite is None,
        )

    def _identity(self, declared: Suite) -> str:
        """Return what records call the benchmark: a suite's name and version, or ``custom``.

        A suite's name means its protocol: with another protocol it is a custom benchmark.
        """
        pairs = (
            (self.split, declared.split),
            (self.folds, declared.n_folds),
            (self.seed, declared.seed),
            (self.de_list, declared.de_list),
            (self.scale, declared.scale),
            (self.require_gene_in, None),
        )
        is_changed = any(given not in (None, own) for given, own in pairs)
        return "custom" if self.suite is None or is_changed else declared.identity

    def _split(self, declared: Suite) -> tuple[str, dict[str, object]]:
        """Return the split plugin and its options.

        Raises:
            ConfigError: If the file of labels does not exist.
        """
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
