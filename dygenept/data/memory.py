"""How much memory cells take, in memory or in a file, and a limit that decides between the two."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dygenept.errors import DataError
from dygenept.machine.folders import default_cache_dir
from dygenept.machine.scratch import FOLDER, check_space
from dygenept.machine.tables import COLUMN_VALUES, PART_VALUES, RESIDENT
from dygenept.machine.threads import n_threads
from dygenept.types import DataOutline, IntArray, PerturbationData, Runtime

# Peak of reading over the size of the matrix, and a process with its libraries (docs/scale.md).
READING_PEAK = 1.14
PROCESS_BYTES = (1 << 30) // 4
# Arrays of conditions x genes in float64 that means, DE lists and the default metrics keep, where
# a fifth of the conditions is held out at once; how many more for each further share of them, since
# metrics see that many rows of nine arrays; and ranks in several cell types keep a copy by type.
TABLES = 8
USUAL_SHARE = 0.2
TABLES_OF_HELD_OUT = 9
COPIES_BY_TYPE = 1
# The same where no metric reads DE tests or ranks among conditions.
FEW_TABLES = 5
# Names, codes and places of one cell, and what is beside them while they are read.
CELL_BYTES = 300
# Cells and stored values of a block of a pass, values of a block that is read, and bytes of each:
# value, column, and both as the product of a pass copies them.
BLOCK_CELLS = 1 << 14
BLOCK_VALUES = 1 << 24
READ_VALUES = 1 << 22
VALUE_BYTES = 28
# Stored values that are sorted together in a test of every gene, and bytes of each beside it; bytes
# of a control cell's value, in the matrix and sorted.
SORTED = 1 << 20
SORTING_BYTES = 100
# Stored values of conditions that are tested together, and bytes of each in both orders.
MERGED = 1 << 22
MERGED_BYTES = 24
CONTROL_BYTES = 24
# Where controls are matched by batch: bytes of a gene of a batch (what is subtracted, and beside it
# three arrays of its sorted controls, later two halves of them and a copy by gene), and bytes of a
# control cell's value that is sorted once more with those of its batch.
BATCH_BYTES = 32
OF_BATCH_BYTES = 16
# Arrays of conditions x genes that are in files together; parts of rows and of columns that are in
# memory together, and arrays of cell types x genes.
TABLE_FILES = 16
PARTS = 8
COLUMN_PARTS = 4
OF_TYPES = 8
GIB = 1 << 30
_MOST_INDEXED = 2**31 - 1


def tables_of_folds(n_folds: int) -> int:
    """Say how many arrays of conditions × genes the default metrics keep, for folds of equal size.

    One fold alone holds out a quarter.
    """
    share = 1 / n_folds if n_folds > 1 else 0.25
    return TABLES + math.ceil(TABLES_OF_HELD_OUT * max(0.0, share - USUAL_SHARE))


def csr_bytes(n_values: int, n_cells: int) -> int:
    """Bytes of a CSR matrix in float32, with indices of four bytes, or eight where it has to."""
    index = 4 if n_values < _MOST_INDEXED else 8
    return n_values * (4 + index) + (n_cells + 1) * index


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsSize:
    """Sizes of a data set of cells, as far as memory depends on them.

    Attributes:
        n_values: Stored values of the matrix.
        n_cells: Cells.
        n_genes: Output genes.
        n_conditions: Conditions.
        n_types: Cell types.
        n_controls: Control cells.
        n_largest: Cells of the largest condition.
        n_offsets: Rows of ``CellBatches.offsets``; 0 where controls are not matched by batch.
        is_bound: ``n_values`` is the most that there may be.
        n_tables: Arrays of conditions × genes that are in memory together.
    """

    n_values: int
    n_cells: int
    n_genes: int
    n_conditions: int
    n_types: int = 1
    n_controls: int = 0
    n_largest: int = 0
    n_offsets: int = 0
    is_bound: bool = False
    n_tables: int = TABLES

    @classmethod
    def of(cls, outline: DataOutline) -> CellsSize | None:
        """Return the sizes of an outlined data set; None where one of them is not known."""
        if outline.n_values is None or outline.n_cells is None or outline.n_genes is None:
            return None
        if outline.data is not None:
            return replace(
                cls.of_data(outline.data),
                n_values=outline.n_values,
                n_offsets=outline.n_offsets,
                is_bound=outline.is_bound,
            )
        n_conditions, n_controls = outline.n_perturbations or 0, outline.n_controls or 0
        return cls(
            n_values=outline.n_values,
            n_cells=outline.n_cells,
            n_genes=outline.n_genes,
            n_conditions=n_conditions,
            n_controls=n_controls,
            n_largest=(outline.n_cells - n_controls) // max(1, n_conditions),
        )

    @classmethod
    def of_data(cls, data: PerturbationData) -> CellsSize:
        """Return the sizes of a data set that is opened."""
        size = cls.of_codes(
            data.condition_codes,
            n_values=data.expression.nnz,
            n_genes=data.n_genes,
            n_types=len(data.cell_types),
        )
        return size if data.batches is None else replace(size, n_offsets=len(data.batches.offsets))

    @classmethod
    def of_codes(
        cls, codes: IntArray, *, n_values: int, n_genes: int, n_types: int, is_bound: bool = False
    ) -> CellsSize:
        """Return the sizes of cells whose conditions are known, -1 for control."""
        n_each = np.bincount(codes + 1, minlength=2)
        return cls(
            n_values=n_values,
            n_cells=len(codes),
            n_genes=n_genes,
            n_conditions=len(n_each) - 1,
            n_types=n_types,
            n_controls=int(n_each[0]),
            n_largest=int(n_each[1:].max()),
            is_bound=is_bound,
        )

    @property
    def in_memory(self) -> int:
        """Peak memory where the matrix is held in memory, with means, DE lists and scores."""
        return self._held + self._tables + self._tests + self._always

    @property
    def streamed(self) -> int:
        """The same where the matrix is in a file and passes take blocks of it."""
        return self._read + self._tables + self._tests + self._always

    @property
    def bounded(self) -> int:
        """The same where arrays of conditions × genes are in files as well."""
        return self._read + self._parts + self._tests + self._always

    @property
    def without_tables(self) -> int:
        """The same where only arrays of conditions × genes are in files, and cells in memory."""
        return self._held + self._parts + self._tests + self._always

    @property
    def while_testing(self) -> int:
        """What of ``in_memory`` the tests of every gene take, when cells are read."""
        return self.while_fitting + self._merged + self._tests

    @property
    def while_fitting(self) -> int:
        """What of ``in_memory`` is left once cells are read and tested."""
        return csr_bytes(self.n_values, self.n_cells) + self._tables + self._always

    def needed(self, *, streams: bool) -> int:
        """Peak memory at least, where whatever can be is in files.

        Args:
            streams: Cells can be kept in a file.
        """
        ways = [self.in_memory, self.without_tables]
        return min([*ways, self.streamed, self.bounded] if streams else ways)

    def under(self, limit: int, *, streams: bool, n_bytes: int = 0) -> int:
        """Peak memory of the way that a limit leads to; that which takes least where none fits.

        Args:
            limit: Most bytes.
            streams: Cells can be kept in a file.
            n_bytes: What a model takes by itself, after cells were read and tested.
        """
        peak, beside = self._way(limit, streams=streams)
        return max(peak, beside + n_bytes) if n_bytes else peak

    def files_tables(self, limit: int, *, streams: bool) -> bool:
        """True if arrays of conditions × genes are in files on the way that a limit leads to."""
        return self._way(limit, streams=streams)[0] in (self.bounded, self.without_tables)

    def limit_for_files(self, n_bytes: int) -> int | None:
        """Return the largest limit under which tables are in files and a model fits beside them.

        Args:
            n_bytes: What the model takes by itself then.
        """
        limit = min(self.in_memory, self.streamed) - 1
        fits = self.files_tables(limit, streams=True) and (
            self.under(limit, streams=True, n_bytes=n_bytes) <= limit
        )
        return limit if fits else None

    def _way(self, limit: int, *, streams: bool) -> tuple[int, int]:
        """Return the peak of that way, and what is in memory while a model is fitted."""
        cells = self.n_cells * CELL_BYTES + self._always
        matrix = self.while_fitting - self._tables
        ways = [(self.in_memory, self.while_fitting)]
        if streams:
            ways += [(self.streamed, cells + self._tables), (self.bounded, cells + self._parts)]
        ways.append((self.without_tables, matrix + self._parts))
        return next((way for way in ways if way[0] <= limit), min(ways))

    @property
    def stored(self) -> int:
        """Bytes of a copy of the matrix in a file."""
        return 8 * self.n_values

    @property
    def stored_tables(self) -> int:
        """Bytes of arrays of conditions × genes in files."""
        return (self.n_conditions + self.n_types) * self.n_genes * 8 * TABLE_FILES

    @property
    def _always(self) -> int:
        """The process with its libraries, and what is subtracted from the cells of each batch."""
        return PROCESS_BYTES + self.n_offsets * self.n_genes * BATCH_BYTES

    @property
    def _held(self) -> int:
        matrix = csr_bytes(self.n_values, self.n_cells)
        # Reading is over when conditions are tested.
        return max(int(matrix * READING_PEAK), matrix + self._merged)

    @property
    def _merged(self) -> int:
        # Threads test different conditions.
        return min(self.n_values, n_threads() * MERGED) * MERGED_BYTES

    @property
    def _read(self) -> int:
        share = min(1.0, BLOCK_CELLS / max(1, self.n_cells))
        block = min(BLOCK_VALUES, 2 * int(self.n_values * share)) + READ_VALUES
        return self.n_cells * CELL_BYTES + block * VALUE_BYTES

    def _values_of(self, n_cells: int) -> int:
        return int(self.n_values * min(1.0, n_cells / max(1, self.n_cells)))

    @property
    def _tests(self) -> int:
        """Tests of every gene: control cells, their sorted values, and one condition per thread."""
        own = self._values_of(self.n_largest)
        of_thread = own * 8 + min(own, 2 * SORTED) * SORTING_BYTES
        of_value = CONTROL_BYTES + (OF_BATCH_BYTES if self.n_offsets else 0)
        return self._values_of(self.n_controls) * of_value + n_threads() * of_thread

    @property
    def _tables(self) -> int:
        ranks = self.n_types > 1 and self.n_tables > FEW_TABLES
        n_tables = self.n_tables + COPIES_BY_TYPE * ranks
        return (self.n_conditions + self.n_types) * self.n_genes * 8 * n_tables

    @property
    def _parts(self) -> int:
        """What passes over arrays in files take: pages of them, and parts of what is computed."""
        parts = PARTS * PART_VALUES + COLUMN_PARTS * COLUMN_VALUES
        of_types = self.n_types * self.n_genes * OF_TYPES
        return 2 * RESIDENT + (parts + of_types) * 8


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A limit on memory, and where cells go that take more.

    Attributes:
        n_bytes: Most bytes.
        folder: Folder of temporary files.
        held: How many of them the object takes that cells are read from.
    """

    n_bytes: int
    folder: Path
    held: int = 0

    @classmethod
    def of(cls, runtime: Runtime, *, held: int = 0) -> MemoryLimit | None:
        """Return the limit of a run; None where there is none."""
        if runtime.memory is None:
            return None
        return cls(runtime.memory, (runtime.cache_dir or default_cache_dir()) / FOLDER, held)

    @property
    def left(self) -> int:
        """Bytes that are left beside that object."""
        return self.n_bytes - self.held

    def streams(self, name: str, size: CellsSize) -> bool:
        """True if cells go into a file, whose disk has room; False if they fit into memory.

        Raises:
            DataError: If even what is computed of them does not fit, or its disk has no room.
        """
        # What asks for the data knows which tables it needs, and has checked that.
        few = replace(size, n_tables=FEW_TABLES)
        check_memory(name, few, self.n_bytes, streams=True, held=self.held)
        in_file = min(size.streamed, size.bounded)
        if size.in_memory <= self.left or size.without_tables <= self.left < in_file:
            return False
        if not size.is_bound:
            check_space(self.folder, size.stored)
        return True

    def keeps_tables(self, size: CellsSize, *, are_stored: bool) -> bool:
        """True if arrays of conditions × genes go into files, since they do not fit into memory.

        They stay where parts of files would take more.

        Args:
            size: The data set, with the arrays that are in memory together.
            are_stored: Its cells are in a file.

        Raises:
            DataError: If its disk has no room.
        """
        held = size.streamed if are_stored else size.in_memory
        filed = size.bounded if are_stored else size.without_tables
        if held <= self.left or held <= filed:
            return False
        check_space(self.folder, size.stored_tables)
        return True


def check_memory(name: str, size: CellsSize, limit: int, *, streams: bool, held: int = 0) -> None:
    """Refuse a data set that would take more memory than the limit, before its values are read.

    Args:
        name: Its name.
        size: Its size.
        limit: Most bytes.
        streams: Its cells can be kept in a file.
        held: Bytes of the limit that the object takes which it is read from.

    Raises:
        DataError: If it would; the amount that is needed is named.
    """
    needed = size.needed(streams=streams)
    if needed <= limit - held:
        return
    bound = ""
    if size.is_bound:
        bound = (
            " at most (the zeros of a matrix that is not CSR cannot be counted beforehand; write "
            "it as CSR)"
        )
    filed = {
        size.streamed: "its cells in a file",
        size.without_tables: "its tables in files",
        size.bounded: "its cells and tables in files",
    }
    why = f" with {filed[needed]}" if needed < size.in_memory else ""
    if not streams and size.needed(streams=True) < needed:
        why += " (its source reads cells into memory)"
    few = replace(size, n_tables=FEW_TABLES).needed(streams=streams)
    hint = (
        f", choose metrics without ranks and DE tests, such as --metric mse ({few / GIB:,.2f} GiB)"
        if size.n_tables > FEW_TABLES and few <= limit - held
        else ""
    )
    own = (
        f", of which the AnnData object itself takes {held / GIB:,.2f} GiB (give the path of a "
        "file, or an object that was read with backed='r')"
        if held
        else ""
    )
    raise DataError(
        f"{name} needs {needed / GIB:,.2f} GiB of memory{why}{bound}, more than the "
        f"{limit / GIB:,.2f} GiB of --memory{own}; allow as much{hint}, or choose genes or cells "
        "with `dygenept data prepare`, which reads in blocks"
    )
