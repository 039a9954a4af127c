"""What a result is from, as JSON: cells, split, plugins, and the code that computed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dygenept.data.request import RecordedReading
from dygenept.errors import ResultsError
from dygenept.types import DataMapping, PerturbationData, Split
from dygenept.types.results import CodeIdentity, Provenance


class Record(BaseModel):
    """A part of a record: it cannot be changed, and knows no other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetRecord(Record):
    """Which cells were used.

    ``file``, ``mapping`` and ``normalize`` say how a file of one's own was read, so that it can be
    read again; records of earlier versions lack them. ``n_pairs`` is the number of measured pairs
    of a table of effects. ``planted`` says how much of simulated effects comes from which source,
    ``draw`` which seed simulated cells were drawn with; records of earlier versions lack it.
    """

    name: str
    sha256: str
    n_cells: int
    n_genes: int
    n_perturbations: int
    simulated: bool
    notes: tuple[str, ...] = ()
    file: str | None = None
    mapping: Mapping[str, bool | str | tuple[str, ...]] = {}
    normalize: bool = False
    kind: Literal["cells", "effects"] = "cells"
    n_pairs: int | None = None
    planted: Mapping[str, float] = {}
    draw: int | None = None

    @property
    def reading(self) -> RecordedReading:
        """How the cells were read.

        Raises:
            ResultsError: If a part of the mapping is not known.
        """
        known = {field.name for field in fields(DataMapping)}
        if unknown := sorted(self.mapping.keys() - known):
            raise ResultsError(
                f"the record of {self.name!r} has the unknown mapping {unknown[0]!r}"
            )
        return RecordedReading(
            name=self.name,
            file=self.file,
            mapping=DataMapping(**self.mapping),  # type: ignore[arg-type]
            normalize=self.normalize,
        )

    @classmethod
    def of(cls, data: PerturbationData) -> DatasetRecord:
        """Summarise a data set."""
        return cls(
            name=data.name,
            sha256=data.sha256,
            n_cells=data.n_cells,
            n_genes=data.n_genes,
            n_perturbations=len(data.perturbations),
            simulated=data.is_simulated,
            notes=data.notes,
            file=data.file,
            mapping=data.mapping.given(),
            normalize=data.is_normalized,
            kind="cells" if data.effects is None else "effects",
            n_pairs=None if data.effects is None else data.effects.n_pairs,
            planted=dict(data.planted),
            draw=data.draw,
        )


class SplitRecord(Record):
    """Which folds were used; ``sha256`` names the manifest in ``splits/``."""

    name: str
    version: int
    seed: int
    n_folds: int
    sha256: str

    @classmethod
    def of(cls, split: Split, sha256: str) -> SplitRecord:
        """Summarise a split whose manifest has this hash."""
        return cls(
            name=split.algorithm,
            version=split.version,
            seed=split.seed,
            n_folds=len(split.folds),
            sha256=sha256,
        )


class PluginRecord(Record):
    """Provenance of one plugin that took part.

    ``code_sha256`` is a hash of a third party's sources; empty for a built-in plugin, whose sources
    count as the project's own code, and in records of earlier versions.
    """

    kind: str
    name: str
    distribution: str
    version: str
    code_sha256: str = ""

    @classmethod
    def of(cls, plugin: Provenance) -> PluginRecord:
        """Record where a plugin came from, but not the path of its file on this machine."""
        return cls.model_validate(plugin, from_attributes=True)


class CodeRecord(Record):
    """Which code of the project computed a result.

    ``commit``, and whether the checkout was ``dirty``, are known where it ran from a git checkout;
    ``sha256`` is a hash of the modules that compute predictions and scores.
    """

    version: str
    sha256: str
    commit: str | None = None
    dirty: bool | None = None

    @classmethod
    def of(cls, code: CodeIdentity) -> CodeRecord:
        """Record which code ran."""
        return cls(
            version=code.version, sha256=code.sha256, commit=code.commit, dirty=code.is_dirty
        )

    @property
    def words(self) -> str:
        """The same for people."""
        commit = f", commit {self.commit[:12]}" if self.commit else ""
        dirty = " with changes that are not committed" if self.dirty else ""
        return f"dygenept {self.version}{commit}{dirty}, code {self.sha256[:12]}"
