"""NCBI Gene numbers of the shipped genes; read only where a file names genes by number."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping

from dygenept.errors import DataError


@functools.lru_cache(maxsize=1)
def symbols_of_entrez() -> Mapping[int, str]:
    """Return the current symbol of each NCBI Gene (Entrez) number.

    Raises:
        DataError: If the table is missing or damaged.
    """
    import polars as pl

    from dygenept.knowledge.genes.tables import load_gene_tables

    path = importlib.resources.files("dygenept") / "resources" / "genes" / "entrez.parquet"
    try:
        numbers = pl.read_parquet(path.read_bytes())["entrez"].to_list()
        return dict(zip(numbers, load_gene_tables().symbols, strict=True))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"gene table {path} cannot be read ({error}); reinstall dygenept"
        ) from error
