"""Declared benchmarks: a versioned YAML file that fixes data sets, split, models and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from dygenept.errors import ConfigError, nearest
from dygenept.leaderboard.published import Publication, PublishedRow
from dygenept.model.ablations import Grid
from dygenept.plugin.yaml_files import read_yaml, validated


class Suite(BaseModel):
    """One declared benchmark.

    Attributes:
        name: Equals the file's name.
        version: Raised whenever the figures of the suite would change.
        summary: One line.
        datasets: Registered names.
        scale: Shrinks simulated data sets.
        split: Split protocol.
        split_options: Options of the split plugin.
        n_folds: Folds.
        seed: Seed.
        models: Models; empty lets bench pick.
        metrics: Metrics; empty scores those that boards show by default.
        lead: The metric that orders its boards; None takes the best calibrated one.
        de_list: Top-20 DE list.
        grid: Assemblies with parts swapped, run beside ``models``.
        study: Study whose figures ``dygenept reproduce STUDY`` compares with, where there is one.
        published: Figures quoted from papers, under this suite's protocol.
        published_in: Other suites whose quoted figures apply here as well, since their data set,
            split and seed are the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int = Field(ge=1)
    summary: str
    datasets: tuple[str, ...] = Field(min_length=1)
    scale: float | None = Field(default=None, gt=0, le=1)
    split: str = "kfold"
    split_options: Mapping[str, object] = {}
    n_folds: int = Field(default=5, ge=1)
    seed: int = 42
    models: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    lead: str | None = None
    de_list: str = "top_non_dropout_de_20"
    grid: Grid | None = None
    study: str | None = None
    published: tuple[Publication, ...] = ()
    published_in: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Name and version, as results record it."""
        return f"{self.name}@{self.version}"


def load_suite(name: str, directory: Path) -> Suite:
    """Read a suite by name from the folder of suites, or from a YAML file.

    Raises:
        ConfigError: If there is no such suite, or it is not valid; the nearest name is given.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else directory / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"unknown suite {name!r}; {nearest(name, suite_names(directory))}")
    return validated(Suite, read_yaml(path), f"suite {path.name}")


def suite_names(directory: Path) -> tuple[str, ...]:
    """Return the names of the suites in a folder, sorted."""
    return tuple(sorted(file.stem for file in directory.glob("*.yaml")))


def all_suites(directory: Path) -> tuple[Suite, ...]:
    """Read every suite of a folder, by name."""
    return tuple(load_suite(name, directory) for name in suite_names(directory))


def published_rows(
    suites: Sequence[Suite], *, suite: str, dataset: str, is_simulated: bool
) -> tuple[PublishedRow, ...]:
    """Return the quoted figures that belong beside a leaderboard.

    Args:
        suites: All suites.
        suite: Name and version of the leaderboard's suite, such as ``langpert_k562@1``.
        dataset: The data set's own name, as records have it.
        is_simulated: True gives none: a published figure says nothing about simulated cells.
    """
    known = {item.name: item for item in suites}
    found = known.get(suite.partition("@")[0])
    if found is None or is_simulated or found.identity != suite:
        return ()
    sources = [found, *(known[name] for name in found.published_in if name in known)]
    return tuple(
        row
        for source in sources
        for publication in source.published
        for row in publication.quoted()
        if row.dataset == dataset
    )
