"""The JSON files that came with the original model: dictionaries of lists of short lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.plugin import DataError

if TYPE_CHECKING:
    import polars as pl

    from dygenept.knowledge.graph.files import FileHead


def is_json_object(head: FileHead) -> bool:
    """True for ``{gene: [[partner, evidence], …]}``."""
    return head.opening == "{"


def is_json_list(head: FileHead) -> bool:
    """True for ``[{gene: [[set, …], …]}, …]``."""
    return head.opening == "["


def read_json_pairs(path: Path) -> tuple[pl.Series, pl.Series, list[object]]:
    """Read ``{gene: [[partner, evidence], …]}``.

    Returns:
        Genes, partners, and what stands beside each partner.

    Raises:
        DataError: If it has another layout.
    """
    return _flat(_read(path), path)


def read_json_sets(path: Path) -> tuple[pl.Series, pl.Series, list[object]]:
    """Read the first dictionary of ``[{gene: [[set, relation], …]}, {set: …}, …]``.

    The second one says the same the other way round.

    Returns:
        Genes, sets, and what stands beside each set.

    Raises:
        DataError: If it has another layout.
    """
    document = _read(path)
    if not isinstance(document, list) or not document:
        raise DataError(f"{path}: expected a list that starts with a dictionary of genes")
    return _flat(document[0], path)


def _read(path: Path) -> object:
    from dygenept.knowledge.graph.files import read_bytes

    try:
        document: object = json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return document


def _is_entry(item: object) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[0], str)


def _flat(document: object, path: Path) -> tuple[pl.Series, pl.Series, list[object]]:
    import polars as pl

    try:
        if not isinstance(document, dict):
            raise TypeError(f"found {type(document).__name__}")
        for gene, items in document.items():
            if not isinstance(items, list) or not all(_is_entry(item) for item in items):
                raise TypeError(f"{str(gene)[:80]!r} has {str(items)[:80]!r}")
        genes = [gene for gene, items in document.items() for _ in items]
        items = [item for items in document.values() for item in items]
        names = [item[0] for item in items]
        beside = [item[1] if len(item) > 1 else None for item in items]
        return pl.Series(genes, dtype=pl.String), pl.Series(names, dtype=pl.String), beside
    except (TypeError, IndexError, KeyError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: expected a dictionary of genes with lists of [name, evidence] ({error})"
        ) from error
