"""What names a job's record, and where its randomness comes from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from dygenept.plugin.code_identity import project_code
from dygenept.results.store import key_of

if TYPE_CHECKING:
    from dygenept.model.resolve import ResolvedModel
    from dygenept.types import DeGenes, PerturbationData, Split


class NamesJobs(Protocol):
    """What names the jobs of a run: a ``RunContext``, or a plan of one that has read no values."""

    @property
    def data(self) -> PerturbationData:
        """The data set; its fingerprint and mapping count."""

    @property
    def split(self) -> Split:
        """The folds; their seed counts."""

    @property
    def split_sha256(self) -> str:
        """Hash of the split's manifest."""

    @property
    def suite(self) -> str:
        """Name of the suite, or ``custom``."""

    @property
    def de(self) -> DeGenes:
        """The DE lists; their name counts."""


def job_seed(seed: int, *names: object) -> int:
    """Derive a 32-bit seed from a run's seed and names such as suite, fold and model."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def fold_seed(context: NamesJobs, model: ResolvedModel, fold: int) -> int:
    """Return the seed of one model on one fold."""
    return job_seed(context.split.seed, context.suite, fold, model.base)


def job_key(context: NamesJobs, model: ResolvedModel, fold: int) -> str:
    """Return the name of a job's record."""
    data = context.data
    # Only where something is mapped, so that the keys of other jobs stay as they are.
    reading = {"mapping": data.mapping.given()} if data.mapping.given() else {}
    trained = {"trained_by": model.trained_by} if model.trained_by else {}
    return key_of(
        {
            **reading,
            **trained,
            "model": model.base,
            "suite": context.suite,
            "dataset": data.sha256,
            "split": context.split_sha256,
            "fold": fold,
            "seed": context.split.seed,
            "de_list": context.de.name,
            "config": model.config,
            "code": project_code().sha256,
            "plugins": [
                (plugin.kind, plugin.name, plugin.distribution, plugin.version, plugin.code_sha256)
                for plugin in model.plugins
            ],
        }
    )
