"""Numbers for names, so that millions of rows carry integers and each name is resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dygenept.types import IntArray

if TYPE_CHECKING:
    import polars as pl


class NameCodes:
    """Numbers names in order of first appearance, over any number of columns.

    Attributes:
        names: All names so far; a name's number is its position.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, column: pl.Series) -> IntArray:
        """Return the number of each name of a text column without nulls, (n_rows,) int32."""
        import polars as pl

        unique = column.unique(maintain_order=True)
        for name in unique:
            if name not in self._numbers:
                self._numbers[name] = len(self.names)
                self.names.append(name)
        if column.is_empty():
            return np.zeros(0, dtype=np.int32)
        numbers = pl.Series([self._numbers[name] for name in unique], dtype=pl.Int32)
        codes: IntArray = column.replace_strict(unique, numbers, return_dtype=pl.Int32).to_numpy()
        return codes

    def translated(self, names: Mapping[str, str]) -> list[str | None]:
        """Return all names with protein ids replaced; None for a protein id without a name."""
        return [names.get(name, None if is_protein_id(name) else name) for name in self.names]


def is_protein_id(name: str) -> bool:
    """True for an Ensembl protein id, with or without STRING's taxon in front."""
    return name.rpartition(".")[2].startswith("ENSP") or name.startswith("ENSP")
