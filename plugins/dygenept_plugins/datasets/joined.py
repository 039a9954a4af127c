"""Several registered data sets as one, on the genes that all of them have.

For protocols across cell types: each data set brings its own cells, controls and normalisation,
so a perturbation is always seen against the controls of its own data set. Source: this project.
Loads what its members load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from dygenept.plugin import (
    DataError,
    DatasetSource,
    DatasetSpec,
    DatasetStatus,
    FetchesAnew,
    PluginConfig,
    hookimpl,
)
from dygenept.types import Condition, IntArray, PerturbationData, Runtime
from dygenept_plugins.datasets.file import FileConfig, FileSource
from dygenept_plugins.datasets.gears import GearsConfig, GearsSource
from dygenept_plugins.datasets.simulated import SimulatedConfig, SimulatedSource

MIN_SHARED_GENES = 10


class JoinedConfig(PluginConfig):
    """Which data sets to join.

    Attributes:
        name: Name of the joined data set.
        gears: Members from GEARS' deposit, by name.
        files: Members that are ``.h5ad`` files of one's own, by name: a path, or the options of the
            source ``file``.
        simulated: Simulated members, by name. Each draws its own genes and effects, so that
            what they share tells nothing about transfer; they serve only checks.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.:-]+$")
    gears: Mapping[str, GearsConfig] = {}
    files: Mapping[str, Path | FileConfig] = {}
    simulated: Mapping[str, SimulatedConfig] = {}


class JoinedSource:
    """Reads each member and puts their cells one below another."""

    def __init__(self, config: JoinedConfig) -> None:
        self._config = config
        self._members: dict[str, DatasetSource] = {
            **{name: GearsSource(member) for name, member in config.gears.items()},
            **{name: FileSource(_file(member)) for name, member in config.files.items()},
            **{name: SimulatedSource(member) for name, member in config.simulated.items()},
        }

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say which members are there; the path is that of the first that is not."""
        states = {name: member.status(data_dir) for name, member in self._members.items()}
        absent = {name: state for name, state in states.items() if not state.is_present}
        path = next((state.path for state in (absent or states).values()), None)
        detail = "; ".join(f"{name}: {state.detail}" for name, state in states.items())
        return DatasetStatus(path=path, is_present=not absent, detail=detail)

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Fetch every member and return the path of the first.

        Raises:
            DataUnavailableError: If a member cannot be fetched.
        """
        first, *_ = [member.fetch(data_dir, runtime) for member in self._members.values()]
        return first

    def fetch_anew(self, data_dir: Path, runtime: Runtime) -> Path:
        """Fetch every member anew that can be, and return the path of the first.

        Raises:
            DataUnavailableError: If a member cannot be fetched.
        """
        first, *_ = [
            member.fetch_anew(data_dir, runtime)
            if isinstance(member, FetchesAnew)
            else member.fetch(data_dir, runtime)
            for member in self._members.values()
        ]
        return first

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Read every member and join them.

        Raises:
            DataError: If two members share a cell type, or all of them share too few genes.
        """
        # They are joined in memory, for which there is room where this source is asked at all.
        held = replace(runtime, memory=None)
        members = {name: member.load(data_dir, held) for name, member in self._members.items()}
        return join(self._config.name, members)


def _file(member: Path | FileConfig) -> FileConfig:
    # A path alone starts from the working directory, as on the command line.
    return FileConfig(path=member.absolute()) if isinstance(member, Path) else member


def join(name: str, members: Mapping[str, PerturbationData]) -> PerturbationData:
    """Join data sets on the gene identifiers that all of them have.

    DE lists of the members name genes that may be gone, so the joined data set carries none and
    they are computed on the shared genes.

    Args:
        name: Name of the result.
        members: The data sets, by name.

    Raises:
        DataError: If there are fewer than two, two share a cell type, or all of them share too
            few genes.
    """
    from scipy import sparse

    from dygenept.data.reading.fingerprint import Content, fingerprint
    from dygenept.types import PerturbationData

    parts = tuple(members.values())
    cell_types = tuple(sorted(kind for part in parts for kind in part.cell_types))
    if len(parts) < 2 or len(set(cell_types)) < len(cell_types):
        raise DataError(
            f"cannot join {', '.join(members) or 'nothing'} into {name!r}: it takes two or more "
            f"data sets without a cell type in common, and these have {', '.join(cell_types)}"
        )
    shared = set(parts[0].gene_ids).intersection(*(part.gene_ids for part in parts[1:]))
    genes = tuple(gene for gene in parts[0].gene_ids if gene in shared)
    if len(genes) < MIN_SHARED_GENES:
        raise DataError(
            f"cannot join {', '.join(members)} into {name!r}: they share {len(genes)} gene(s), "
            f"and {MIN_SHARED_GENES} are the least; use files with the same identifiers in var"
        )
    columns = [_columns(part, genes) for part in parts]
    expression = sparse.csr_matrix(
        sparse.vstack(
            [part.expression[:][:, columns[number]] for number, part in enumerate(parts)],
            format="csr",
        )
    )
    expression.sort_indices()
    conditions, codes = _conditions(parts)
    type_codes = np.concatenate(
        [
            np.array([cell_types.index(kind) for kind in part.cell_types])[part.cell_type_codes]
            for part in parts
        ]
    ).astype(np.int32)
    symbols = tuple(parts[0].gene_symbols[column] for column in columns[0])
    labels = ["ctrl", *dict.fromkeys(condition.label for condition in conditions)]
    of_condition = [labels.index(condition.label) for condition in conditions]
    label_codes = np.array([*of_condition, 0], dtype=np.int32)[codes]
    return PerturbationData(
        name=name,
        source=" + ".join(part.source for part in parts),
        sha256=fingerprint(
            Content(
                expression=expression,
                gene_ids=genes,
                gene_symbols=symbols,
                cell_labels=(labels, label_codes),
                cell_types=(cell_types, type_codes),
                de_lists={},
            )
        ),
        is_simulated=any(part.is_simulated for part in parts),
        expression=expression,
        gene_ids=genes,
        gene_symbols=symbols,
        cell_ids=np.concatenate(
            [
                np.array([f"{of}:{cell}" for cell in part.cell_ids], dtype=object)
                for of, part in members.items()
            ]
        ),
        conditions=conditions,
        condition_codes=codes,
        cell_types=cell_types,
        cell_type_codes=type_codes,
        raw_labels=tuple(dict.fromkeys(label for part in parts for label in part.raw_labels)),
        raw_to_label=_labels(parts),
        notes=(
            f"Joined from {', '.join(members)} on {len(genes):,} shared genes; each keeps its own "
            "controls and normalisation.",
            *(f"{of}: {note}" for of, part in members.items() for note in part.notes),
        ),
    )


def _columns(part: PerturbationData, genes: tuple[str, ...]) -> list[int]:
    position = {gene: column for column, gene in enumerate(part.gene_ids)}
    return [position[gene] for gene in genes]


def _labels(parts: tuple[PerturbationData, ...]) -> dict[str, str]:
    """Give one set of genes one label, the smallest, whichever data set it comes from."""
    smallest: dict[tuple[str, ...], str] = {}
    for part in parts:
        for item in part.perturbations:
            smallest[item.genes] = min(smallest.get(item.genes, item.label), item.label)
    found: dict[str, str] = {}
    for part in parts:
        genes = {item.label: item.genes for item in part.perturbations}
        found |= {raw: smallest[genes[label]] for raw, label in part.raw_to_label.items()}
    return found


def _conditions(parts: tuple[PerturbationData, ...]) -> tuple[tuple[Condition, ...], IntArray]:
    from dygenept.types import Condition, Perturbation

    label_of = _labels(parts)
    renamed = [
        [
            Condition(Perturbation(label_of[item.label], item.perturbation.genes), item.cell_type)
            for item in part.conditions
        ]
        for part in parts
    ]
    conditions = tuple(sorted(item for part in renamed for item in part))
    place = {condition: row for row, condition in enumerate(conditions)}
    codes = [
        # The last entry is where the code -1 of control cells points to.
        np.array([*(place[item] for item in own), -1], dtype=np.int32)[part.condition_codes]
        for part, own in zip(parts, renamed, strict=True)
    ]
    return conditions, np.concatenate(codes)


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the source of joined data sets."""
    return [
        DatasetSpec(
            name="joined",
            summary="Several data sets as one, on their shared genes",
            source="this project",
            config=JoinedConfig,
            factory=JoinedSource,
            check_options={
                "name": "sim:joined",
                "simulated": {
                    "k562": {"profile": "dixit", "scale": 0.1},
                    "rpe1": {"profile": "rpe1", "scale": 0.02},
                },
            },
        )
    ]
