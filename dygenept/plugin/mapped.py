"""Options of a source of files: where a file keeps what a data set needs."""

from __future__ import annotations

from dataclasses import fields

from pydantic import field_validator

from dygenept.plugin.specs import PluginConfig
from dygenept.types.mapping import DataMapping


class MappedConfig(PluginConfig):
    """Base of the configuration of a source that reads a file by ``read_anndata``.

    The fields are those of ``DataMapping``; a registry entry sets them, and so do the flags of the
    command line. ``normalize`` scales raw counts and takes log1p.
    """

    normalize: bool = False
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

    @field_validator("control", "drop", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def mapping(self) -> DataMapping:
        """Return where the file keeps what is needed."""
        names = {field.name for field in fields(DataMapping)}
        return DataMapping(**self.model_dump(include=names))
