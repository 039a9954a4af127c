"""What all jobs of a run share: the opened data set, its folds, and what metrics need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dygenept.data.catalog import resolve_dataset
from dygenept.data.de.lists import DE_LISTS
from dygenept.data.measured import measure
from dygenept.data.memory import FEW_TABLES, TABLES, tables_of_folds
from dygenept.data.opening import open_data
from dygenept.data.request import DataRequest
from dygenept.data.splits import check_split, make_split, save_split, split_sha256
from dygenept.errors import ConfigError, nearest
from dygenept.evaluation.reference import train_means
from dygenept.evaluation.scoring import LaidOut
from dygenept.machine import processes
from dygenept.machine.devices import pick_device
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import DatasetSpec, EffectMetricSpec, MetricSpec, SplitSpec
from dygenept.results.records import SubmissionRecord
from dygenept.results.store import ResultsStore
from dygenept.results.truth import keep_truth
from dygenept.runs.metric_choice import MetricChoice, Scoring, choose_metrics, scoring_of
from dygenept.types import (
    Condition,
    DeGenes,
    DoubleArray,
    PerturbationData,
    Progress,
    Pseudobulk,
    Split,
    Task,
)
from dygenept.types.results import Provenance

OWN_SPLIT = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest(DataRequest):
    """A data set, the protocol that it is run under, and where results go.

    Attributes:
        suite: Name that goes into every record.
        split: Split protocol.
        split_options: Options of the split plugin.
        n_folds: Folds, for protocols that have several.
        seed: Seed of the split and of all that follows.
        metrics: Metrics to score; empty scores those that boards show by default.
        de_list: Top-20 DE list.
        results: Results folder.
        resume: False computes again what is there.
        keep_predictions: False leaves predictions out of the results folder.
        prefers_own_split: A table of effects with a split of its own is cut by that.
    """

    suite: str = "custom"
    split: str = "kfold"
    split_options: Mapping[str, object] = field(default_factory=dict)
    n_folds: int = 5
    seed: int = 42
    metrics: tuple[str, ...] = ()
    de_list: str = "top_non_dropout_de_20"
    results: Path
    resume: bool = True
    keep_predictions: bool = True
    prefers_own_split: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What every job of a run shares.

    Attributes:
        environment: Registry, plugins and folders.
        data: The data set.
        pseudobulk: Its means.
        de: Its DE lists.
        split: The folds.
        split_sha256: Hash of the split's manifest.
        suite: Name of the suite, or ``custom``.
        family: Models that were declared together, over which claims are corrected.
        submission: What is known of predictions that somebody handed in, where these are scored.
        scoring: What predictions are scored with.
        shared_plugins: Provenance of the data source and the split protocol.
        store: Where results go.
        device: Torch device.
        keep_predictions: False leaves predictions out of the results folder.
        resume: False computes again what is there.
        memory: Most bytes of memory; None for no limit.
        n_tables: Arrays of conditions × genes that are in memory together, where they are.
        laid_out: The truth of each fold as metrics see it, once it was laid out.
    """

    environment: Environment
    data: PerturbationData
    pseudobulk: Pseudobulk
    de: DeGenes
    split: Split
    split_sha256: str
    suite: str
    family: tuple[str, ...] = ()
    submission: SubmissionRecord | None = None
    scoring: Scoring = field(default_factory=Scoring)
    shared_plugins: tuple[Provenance, ...] = ()
    store: ResultsStore
    device: str = "cpu"
    keep_predictions: bool = True
    resume: bool = True
    memory: int | None = None
    n_tables: int = TABLES
    laid_out: dict[tuple[Condition, ...], LaidOut] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _train_means: dict[int, Mapping[str, DoubleArray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def train_means(self, fold: int, task: Task) -> Mapping[str, DoubleArray]:
        """Return the mean train perturbation of a fold by cell type, (G,), computed once a fold.

        Args:
            fold: Position of the fold.
            task: Its task, which no model has received yet.
        """
        if fold not in self._train_means:
            self._train_means[fold] = train_means(task)
        return self._train_means[fold]

    def keep_shared(self) -> None:
        """Write what all records share: the split, and the truth where predictions are kept."""
        if not self.store.is_writer:
            return
        save_split(self.split, self.store.directory)
        if self.keep_predictions:
            keep_truth(self.store, self.data, self.pseudobulk, self.de)


def open_run(
    request: RunRequest,
    environment: Environment,
    report: Callable[[Progress], None],
    *,
    device: str,
    split_of: Callable[[PerturbationData], Split],
    is_scored: bool = True,
) -> RunContext:
    """Open the data set, split it, and compute once what every job shares.

    Args:
        request: Data set, protocol and results folder.
        environment: Registry, plugins and folders.
        report: Callback for progress.
        device: Torch device of the run.
        split_of: Cuts the data set into folds, or checks that recorded folds fit it.
        is_scored: False prepares no metrics, for runs that score nothing.

    Raises:
        DygeneptError: If the data set, the split or a metric is refused.
    """
    report(Progress("read", 0, 1, request.dataset))
    tables = replace(request, n_tables=n_tables_of(request, environment, is_scored=is_scored))
    data = open_data(tables, environment, report)
    split = split_of(data)
    report(Progress("read", 1, 1))
    report(Progress("means", 0, 1, "pseudobulk means and DE genes"))
    choice = choose_metrics(request.metrics, environment, data) if is_scored else MetricChoice()
    measured = measure(
        data,
        request.de_list,
        with_tests=choice.reads("uses_de_tests"),
        beside=request.memory is None,
    )
    scoring = Scoring()
    if is_scored:
        scoring = scoring_of(choice, data, measured, split, seed=request.seed)
    context = RunContext(
        environment=environment,
        data=data,
        pseudobulk=measured.means,
        de=measured.de,
        split=split,
        split_sha256=split_sha256(split),
        suite=request.suite,
        scoring=scoring,
        shared_plugins=_shared_plugins(request, environment, split.algorithm),
        store=ResultsStore(request.results, is_writer=processes.current().is_writer),
        device=device,
        keep_predictions=request.keep_predictions,
        resume=request.resume,
        memory=None if request.memory is None else request.memory - request.held,
        n_tables=tables.n_tables,
    )
    report(Progress("means", 1, 1))
    return context


def n_tables_of(request: RunRequest, environment: Environment, *, is_scored: bool = True) -> int:
    """Say how many arrays of conditions × genes a run keeps together, for a limit on memory."""
    known = set(environment.manager.names(MetricSpec.kind))
    if is_scored and not (request.metrics and known.issuperset(request.metrics)):
        return tables_of_folds(request.n_folds)
    specs = [environment.manager.get(MetricSpec, name) for name in request.metrics]
    are_plain = all(spec.by_row and not (spec.uses_de_tests or spec.uses_cells) for spec in specs)
    return FEW_TABLES if are_plain else tables_of_folds(request.n_folds)


def check_request(
    request: RunRequest, environment: Environment, *, is_split_known: bool = False
) -> None:
    """Refuse what a typing slip can break before the data set is read.

    Args:
        request: Data set, protocol and metrics.
        environment: Registry and plugins.
        is_split_known: The folds are recorded, and no protocol cuts them anew.

    Raises:
        DygeneptError: As said: an unknown data set, split protocol, metric or DE list, or options
            that they do not have.
    """
    if request.opened is None and request.dataset:
        resolve_dataset(request.dataset, environment, scale=request.scale)
    if not is_split_known:
        environment.configured(SplitSpec, request.split, request.split_options)
    of_effects = environment.manager.names(EffectMetricSpec.kind)
    for name in request.metrics:
        if name not in of_effects:
            environment.manager.get(MetricSpec, name)
    if request.de_list not in DE_LISTS:
        raise ConfigError(
            f"unknown DE list {request.de_list!r}; {nearest(request.de_list, DE_LISTS)}"
        )


def cut_split(
    request: RunRequest,
    environment: Environment,
    data: PerturbationData,
    *,
    needs_test: bool = True,
) -> Split:
    """Cut a data set into the folds that a request asks for, and check them."""
    plugin = environment.configured(SplitSpec, *_protocol(request, data))
    splitter = plugin.spec.factory(plugin.options)
    split = make_split(plugin.spec, splitter, data, n_folds=request.n_folds, seed=request.seed)
    check_split(split, data, needs_test=needs_test)
    return split


def _protocol(request: RunRequest, data: PerturbationData) -> tuple[str, Mapping[str, object]]:
    """Return the split protocol and its options: a table's own split where none is asked for."""
    if request.prefers_own_split and data.effects is not None and data.effects.parts:
        return OWN_SPLIT, {}
    return request.split, request.split_options


def check_learns(models: Sequence[ResolvedModel], data: PerturbationData) -> None:
    """Refuse models that do not learn from this kind of data set.

    Raises:
        ConfigError: As said.
    """
    kind, what = ("cells", "cells") if data.effects is None else ("effects", "tables of effects")
    for model in models:
        if kind not in model.learns_from:
            raise ConfigError(
                f"{model.name} does not learn from {what}; leave out --model to see which models do"
            )


def require_cells(data: PerturbationData, what: str) -> None:
    """Refuse a table of effects where cells are needed.

    Args:
        data: The data set.
        what: What needs them, for people.

    Raises:
        ConfigError: If it is a table.
    """
    if data.effects is not None:
        raise ConfigError(
            f"{what} needs cells, and {data.name!r} is a table of effects; `dygenept bench` fits "
            "and scores models on it"
        )


def run_device(models: Sequence[ResolvedModel], environment: Environment) -> str:
    """Pick the device of a run: the CPU where no model computes on another and none is asked for.

    Raises:
        ConfigError: If the device that was asked for is not there.
    """
    asked = environment.device
    if any(model.uses_device for model in models) or asked not in ("auto", "cpu"):
        return pick_device(asked)
    return "cpu"


def _shared_plugins(
    request: RunRequest, environment: Environment, split: str
) -> tuple[Provenance, ...]:
    """Provenance of the split protocol and, for a registered data set, of its source."""
    manager = environment.manager
    names = manager.names(SplitSpec.kind)
    found = [manager.provenance(SplitSpec.kind, split if split in names else request.split)]
    if request.opened is not None and not request.is_sent:
        return tuple(found)
    entry = resolve_dataset(request.dataset, environment).entry
    if entry is not None:
        found.append(manager.provenance(DatasetSpec.kind, entry.source))
    return tuple(found)
