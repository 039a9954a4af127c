"""Where a file keeps what a data set needs, as its owner says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

# What one part of a mapping may be.
Given = str | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMapping:
    """Where a file or an AnnData object keeps what is needed; what is not given is looked for.

    Attributes:
        condition_column: Column of ``obs`` with perturbation labels, such as ``KLF1+MAPK1``.
        control: Labels of control cells, beside those that are always understood.
        drop: Labels of cells that are left out, such as doublets; ``nan`` for cells without one.
        separator: What stands between the genes of a combination, beside ``+``.
        guide_pattern: Regular expression of what is left out of a guide's name to give its gene.
        symbol_column: Column of ``var`` with gene symbols.
        layer: Layer with the expression instead of ``X``; ``raw`` for ``raw.X``.
        cell_type_column: Column of ``obs`` with cell types.
        batch_column: Column of ``obs`` with batches, such as replicates or channels.
        match_batches: Measure changes from the controls of a cell's own batch; None does so where
            there is a ``batch_column``, unless the file carries GEARS' DE lists, which ignore it.
        value_column: Column of a table of effects with its labels or values. In such a table
            ``condition_column`` has the perturbations and ``symbol_column`` the genes.
        control_cells: File of cells beside a table of effects, whose control cells models may read.
    """

    condition_column: str | None = None
    control: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    separator: str | None = None
    guide_pattern: str | None = None
    symbol_column: str | None = None
    layer: str | None = None
    cell_type_column: str | None = None
    batch_column: str | None = None
    match_batches: bool | None = None
    value_column: str | None = None
    control_cells: str | None = None

    def given(self) -> dict[str, Given]:
        """Return what is given, by name; empty where nothing is."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, "", ())}

    def flags(self) -> str:
        """Write what is given as flags of the command line; empty where nothing is."""
        return as_flags(self.given())


NO_MAPPING = DataMapping()


def as_flags(given: Mapping[str, Given]) -> str:
    """Write parts of a mapping as flags, such as ``--condition-column gene --control NT``."""
    import shlex

    flags: list[str] = []
    for name, value in given.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            several = (value,) if isinstance(value, str) else value
            flags += [f"--{flag} {shlex.quote(one)}" for one in several]
    return " ".join(flags)
