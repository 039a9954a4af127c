"""Options that say how a data set is read, for every command that reads one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from dygenept_cli.flags import options
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.data.request import DataRequest
    from dygenept.types import DataMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingFlags:
    """Where a file keeps what is needed; what is not given is looked for."""

    panel: ClassVar[str] = "Where a file keeps what is needed"

    normalize: options.NormalizeOption = False
    condition_column: str | None = flag(
        "Column of obs with perturbations [default: condition, or what a known tool writes].",
        metavar="COLUMN",
    )
    control: list[str] | None = flag(
        "Label of control cells, beside ctrl, control, NT and the like; may be given several "
        "times.",
        metavar="LABEL",
    )
    drop: list[str] | None = flag(
        "Label of cells that are left out, such as doublet; nan for cells without a label; may be "
        "given several times.",
        metavar="LABEL",
    )
    separator: str | None = flag(
        "What stands between the genes of a combination, beside +, such as _.", metavar="TEXT"
    )
    guide_pattern: str | None = flag(
        "What is left out of a guide's name to give its gene, such as '_[0-9]+$'.", metavar="REGEX"
    )
    symbol_column: str | None = flag(
        "Column of var with gene symbols [default: the one that has them].", metavar="COLUMN"
    )
    layer: str | None = flag("Layer with the expression, or raw [default: X].", metavar="NAME")
    cell_type_column: str | None = flag(
        "Column of obs with cell types [default: cell_type].", metavar="COLUMN"
    )
    batch_column: str | None = flag(
        "Column of obs with batches; changes are measured within them.", metavar="COLUMN"
    )
    match_batches: bool | None = flag(
        "Measure changes from the controls of a cell's own batch [default: with --batch-column, "
        "unless the file carries GEARS' DE lists].",
        "--match-batches/--no-match-batches",
    )
    value_column: str | None = flag(
        "Column of a table of effects with its labels or values [default: label, value or the "
        "like].",
        metavar="COLUMN",
    )

    control_cells: str | None = flag(
        "AnnData file whose control cells models of a table of effects may read.", metavar="FILE"
    )

    def mapping(self) -> DataMapping:
        """Return where the file keeps what is needed."""
        from dygenept.types import DataMapping

        given = {part.name: getattr(self, part.name) for part in fields(DataMapping)}
        several = {name: tuple(given[name] or ()) for name in ("control", "drop")}
        return DataMapping(**given | several)

    def as_given(self) -> str:
        """Write these flags as they are given on a command line."""
        given = "--normalize " if self.normalize else ""
        return f"{given}{self.mapping().flags()}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsFlags(ReadingFlags):
    """How a data set is read."""

    panel: ClassVar[str] = "Where a file keeps what is needed"

    scale: options.ScaleOption = None
    memory: str | None = flag(
        "Most memory of a process, such as 4G: cells that take more are kept in a temporary file, "
        "or refused, before expression is read, where that is not enough.",
        metavar="AMOUNT",
    )

    def memory_bytes(self) -> int | None:
        """Return the limit in bytes; None for no limit."""
        from dygenept.machine.amounts import parse_memory

        return None if self.memory is None else parse_memory(self.memory)

    def data_request(self, dataset: str) -> DataRequest:
        """Return the request that reads a data set so."""
        from dygenept.data.request import DataRequest

        return DataRequest(
            dataset=dataset,
            scale=self.scale,
            normalize=self.normalize,
            mapping=self.mapping(),
            memory=self.memory_bytes(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFlags(CellsFlags):
    """A data set that must be named, and how it is read."""

    panel: ClassVar[str] = "What is read"

    dataset: options.DatasetOption
