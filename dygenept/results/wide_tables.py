"""Writes tables of conditions × genes that are in files: some rows at a time, as row groups.

What is read back is what a table in memory gives; only the file's layout differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dygenept.machine.tables import give_back_pages
from dygenept.types import Condition, DoubleArray, FloatArray

LABELS = ("perturbation", "cell_type")
# Values of a row group, of which three copies are in memory while it is written.
GROUP_VALUES = 1 << 24


def write_in_groups(
    path: Path,
    conditions: Sequence[Condition],
    values: DoubleArray | FloatArray,
    gene_ids: Sequence[str],
) -> None:
    """Write a number for each condition and gene as Parquet, in float32 where that loses nothing.

    Args:
        path: Where to.
        conditions: What the rows are, (n,).
        values: The table, (n, G).
        gene_ids: Columns, unique and other than those of labels.

    Raises:
        OSError: If it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    with np.errstate(over="ignore"):
        is_narrow = all(
            np.array_equal(values[part].astype(np.float32), values[part])
            for part in _groups(values.shape)
        )
    dtype = np.dtype(np.float32 if is_narrow else np.float64)
    schema = pa.schema(
        [
            *(pa.field(name, pa.large_string()) for name in LABELS),
            *(pa.field(gene, pa.from_numpy_dtype(dtype)) for gene in gene_ids),
        ]
    )
    with parquet.ParquetWriter(
        path,
        schema,
        compression="snappy",
        # Numbers hardly repeat, and nobody looks for columns by their range.
        use_dictionary=list(LABELS),
        write_statistics=False,
    ) as writer:
        for part in _groups(values.shape):
            by_gene = np.ascontiguousarray(values[part].T, dtype=dtype)
            own = conditions[part]
            labels = ([of.label for of in own], [of.cell_type for of in own])
            columns = [
                *(pa.array(texts, type=pa.large_string()) for texts in labels),
                *(pa.array(column) for column in by_gene),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _groups(shape: tuple[int, ...]) -> Iterator[slice]:
    n_rows, n_genes = shape
    step = max(1, GROUP_VALUES // max(1, n_genes))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
        give_back_pages()
