"""Compares our baselines with published figures, on the published data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dygenept.data.catalog import resolve_dataset, source_of
from dygenept.errors import ConfigError, nearest
from dygenept.leaderboard.published import FigureCheck, check_figures
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchOutcome, BenchRequest, run_bench
from dygenept.runs.suites import Suite, published_rows
from dygenept.types import Progress


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A published data set that is not on disk.

    Attributes:
        dataset: Registered name.
        suite: Suite that needs it.
        path: Where the file belongs.
        detail: What a fetch would do.
    """

    dataset: str
    suite: str
    path: Path | None
    detail: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What was compared, and what could not be.

    Attributes:
        study: Name of the study.
        comparisons: One for each figure of a model defined alike.
        missing: Data sets that are not on disk.
        failures: Jobs that failed, by data set and job.
        outcomes: What the run of each data set left.
    """

    study: str
    comparisons: tuple[FigureCheck, ...]
    missing: tuple[MissingFile, ...]
    failures: tuple[str, ...]
    outcomes: tuple[BenchOutcome, ...] = ()

    @property
    def matches(self) -> bool | None:
        """True if every figure matches; None where nothing could be compared."""
        if not self.comparisons:
            return None
        return all(item.matches for item in self.comparisons)


def studies(suites: Sequence[Suite]) -> tuple[str, ...]:
    """Return the studies that some suite reproduces, sorted."""
    return tuple(sorted({suite.study for suite in suites if suite.study is not None}))


def reproduce(
    study: str,
    *,
    suites: Sequence[Suite],
    request: BenchRequest,
    environment: Environment,
    report: Callable[[Progress], None],
) -> Reproduction:
    """Run the models that are defined alike under each suite of a study, and compare.

    Nothing is downloaded: a data set that is not on disk is named as missing. What the results
    folder already contains is read, not run again.

    Args:
        study: Such as ``langpert``.
        suites: All suites.
        request: The results folder; its data set, models and protocol are not used.
        environment: Registered data sets, plugins and folders.
        report: Callback for progress.

    Raises:
        ConfigError: If no suite is of this study.
        DygeneptError: If a data set that is on disk cannot be read.
    """
    chosen = [suite for suite in suites if suite.study == study]
    if not chosen:
        raise ConfigError(f"unknown study {study!r}; {nearest(study, studies(suites))}")
    comparisons: list[FigureCheck] = []
    missing: list[MissingFile] = []
    outcomes: list[BenchOutcome] = []
    failures: list[str] = []
    for suite in chosen:
        for dataset in suite.datasets:
            resolved = resolve_dataset(dataset, environment)
            if resolved.name is not None and resolved.entry is not None:
                source = source_of(resolved.name, resolved.entry, manager=environment.manager)
                status = source.status(environment.data_dir)
                if not status.is_present:
                    missing.append(MissingFile(dataset, suite.name, status.path, status.detail))
                    continue
            found, outcome = _compared(suite, dataset, suites, request, environment, report)
            comparisons.extend(found)
            outcomes.append(outcome)
            failures += [f"{dataset}, {job}: {why}" for job, why in outcome.failures.items()]
    return Reproduction(study, tuple(comparisons), tuple(missing), tuple(failures), tuple(outcomes))


def _compared(
    suite: Suite,
    dataset: str,
    suites: Sequence[Suite],
    request: BenchRequest,
    environment: Environment,
    report: Callable[[Progress], None],
) -> tuple[tuple[FigureCheck, ...], BenchOutcome]:
    alike = [
        model
        for publication in suite.published
        for model in publication.models
        if model.same_as is not None
    ]
    outcome = run_bench(
        replace(
            request,
            dataset=dataset,
            models=tuple(dict.fromkeys(str(model.same_as) for model in alike)),
            suite=suite.identity,
            split=suite.split,
            split_options=suite.split_options,
            n_folds=suite.n_folds,
            seed=suite.seed,
            de_list=suite.de_list,
            metrics=tuple(dict.fromkeys(name for model in alike for name in model.values)),
        ),
        environment,
        report=report,
    )
    quoted = published_rows(
        suites,
        suite=suite.identity,
        dataset=outcome.dataset.name,
        is_simulated=outcome.dataset.simulated,
    )
    return check_figures(quoted, leaderboard_rows(outcome.records)), outcome
