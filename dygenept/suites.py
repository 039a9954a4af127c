"""Declared benchmarks: a versioned YAML file that fixes data sets, split, models and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from dygenept.errors import ConfigError, nearest
from dygenept.grids import Grid
from dygenept.registry import read_yaml
from dygenept.validation import validated


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
        metrics: Metrics; empty scores all.
        de_list: Top-20 DE list.
        grid: Assemblies with parts swapped, run beside ``models``.
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
    de_list: str = "top_non_dropout_de_20"
    grid: Grid | None = None

    @property
    def identity(self) -> str:
        """Name and version, as results record it."""
        return f"{self.name}@{self.version}"


def load_suite(name: str, directory: Path) -> Suite:
    """Read a suite by name from the folder of suites, or from a YAML file.

    Raises:
        ConfigError: If there is none, or it is not valid; the nearest name is given.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else directory / f"{name}.yaml"
    if not path.is_file():
        known = [file.stem for file in directory.glob("*.yaml")]
        raise ConfigError(f"unknown suite {name!r}; {nearest(name, known)}")
    return validated(Suite, read_yaml(path), f"suite {path.name}")
