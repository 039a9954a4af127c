"""What all jobs of a run share, and what names a job."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.interfaces import Metric
from dygenept.plugin.specs import MetricSpec
from dygenept.results.store import ResultsStore, key_of
from dygenept.types import (
    DeGenes,
    DeTests,
    KnowledgeReader,
    MetricCells,
    PerturbationData,
    Pseudobulk,
    Split,
)
from dygenept.types.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Station:
    """What every job of a run shares.

    Attributes:
        data: The data set.
        pseudobulk: Its means.
        de: Its DE lists.
        split: The folds.
        split_sha256: Hash of the split's manifest.
        suite: Name of the suite, or ``custom``.
        metrics: Metrics to score, with their provenance.
        shared_plugins: Provenance of the data source and the split protocol.
        store: Where results go.
        device: Torch device.
        cache_dir: Where computed knowledge is cached.
        data_dir: Where data sets and knowledge graphs live.
        keep_predictions: False leaves predictions out of the results folder.
        resume: False computes again what is there.
        de_tests: DE tests of every gene, where a metric reads them.
        cells: Samples of cells, where a metric reads them.
        knowledge: Opens the registry's facet sets for models that ask for them.
    """

    data: PerturbationData
    pseudobulk: Pseudobulk
    de: DeGenes
    split: Split
    split_sha256: str
    suite: str
    metrics: tuple[tuple[MetricSpec, Metric, Provenance], ...]
    shared_plugins: tuple[Provenance, ...]
    store: ResultsStore
    device: str
    cache_dir: Path
    data_dir: Path | None = None
    keep_predictions: bool = True
    resume: bool = True
    de_tests: DeTests | None = None
    cells: MetricCells | None = None
    knowledge: KnowledgeReader | None = None


def derived_seed(seed: int, *names: object) -> int:
    """Derive a 32-bit seed from a run's seed and names such as suite, fold and model."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def job_key(station: Station, model: ResolvedModel, fold: int) -> str:
    """Return the name of a job's record."""
    return key_of(
        {
            "model": model.base,
            "suite": station.suite,
            "dataset": station.data.sha256,
            "split": station.split_sha256,
            "fold": fold,
            "seed": station.split.seed,
            "de_list": station.de.name,
            "config": model.config,
            "code": project_code().sha256,
            "plugins": [
                (plugin.kind, plugin.name, plugin.distribution, plugin.version, plugin.code_sha256)
                for plugin in model.plugins
            ],
        }
    )
