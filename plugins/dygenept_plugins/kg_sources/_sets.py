"""Gene sets: GMT files, and tables or JSON of (gene, set) pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from dygenept.knowledge.graph.file_source import GraphConfig
from dygenept_plugins.kg_sources._names import NameCodes
from dygenept_plugins.kg_sources._pairs import is_pair_table

if TYPE_CHECKING:
    import polars as pl

    from dygenept.knowledge.graph.files import FileHead
    from dygenept.knowledge.graph.whole_graph import SetRule, SetTable


class SetConfig(GraphConfig):
    """Options of sources that join genes by the sets they share.

    Attributes:
        path: A file, or a folder with its files; None means the source's folder under ``kg`` of the
            data folder.
        data_dir: The data folder; None means the default one.
        weight: Evidence weight of an edge, in (0, 1].
        min_size: Genes that a set must have to count.
        max_size: Genes that a set may have.
        min_shared: Sets that two genes must share.
    """

    weight: float = Field(default=0.5, gt=0, le=1)
    min_size: int = Field(default=2, ge=2)
    max_size: int = Field(default=100, ge=2)
    min_shared: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _has_sizes_in_order(self) -> SetConfig:
        if self.min_size > self.max_size:
            raise ValueError(f"min_size {self.min_size} is above max_size {self.max_size}")
        return self

    @property
    def rule(self) -> SetRule:
        """When two genes have an edge."""
        from dygenept.knowledge.graph.whole_graph import SetRule

        return SetRule(self.weight, self.min_size, self.max_size, self.min_shared)


def is_gmt(head: FileHead) -> bool:
    """True if every row is a set: a name, a description, and genes, tab-separated."""
    rows = [line for line in head.lines if line.strip()]
    return (
        bool(rows)
        and head.opening not in ("{", "[", "!", "#")
        and all(line.count("\t") >= 2 for line in rows)
        and not is_pair_table(head)
    )


def read_gmt(path: Path) -> SetTable:
    """Read a GMT file; rows of the same name and description are one set."""
    import polars as pl

    from dygenept.knowledge.graph.files import read_bytes

    numbers: dict[tuple[str, str], int] = {}
    genes: list[str] = []
    sets: list[int] = []
    for line in read_bytes(path).decode("utf-8", errors="replace").splitlines():
        name, _, rest = line.partition("\t")
        description, _, listed = rest.partition("\t")
        # Some files write a gene's own weight behind a comma.
        members = [cell.partition(",")[0].strip() for cell in listed.split("\t")]
        number = numbers.setdefault((name, description), len(numbers))
        genes.extend(members)
        sets.extend([number] * len(members))
    frame = pl.DataFrame({"gene": genes, "set": sets}, schema={"gene": pl.String, "set": pl.Int32})
    return memberships(frame.filter(pl.col("gene") != ""))


def memberships(frame: pl.DataFrame, *, n_records: int | None = None, **dropped: int) -> SetTable:
    """Number the genes and sets of a frame with the columns ``gene`` and ``set``.

    Args:
        frame: One membership a row.
        n_records: Memberships in the file, where some were left out.
        dropped: Those left out, by reason; underscores stand for spaces.
    """
    import numpy as np

    from dygenept.knowledge.graph.whole_graph import SetTable

    codes = NameCodes()
    members = codes.add(frame["gene"])
    column = frame["set"]
    sets = column.to_numpy() if column.dtype.is_integer() else NameCodes().add(column)
    return SetTable(
        names=codes.names,
        members=members,
        sets=np.asarray(sets, dtype=np.int32),
        n_records=len(members) if n_records is None else n_records,
        dropped={reason.replace("_", " "): count for reason, count in dropped.items()},
    )
