"""Data source that writes the toy data set of ``dygenept.testing``. Source: this project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import DatasetSpec, DatasetStatus, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.types import PerturbationData, Runtime


class ToyFileConfig(PluginConfig):
    """Options of ``toy_file``.

    Attributes:
        seed: Seed of the cells.
    """

    seed: int = Field(0, ge=0)


class ToyFile:
    """Makes the file on first use."""

    def __init__(self, config: ToyFileConfig) -> None:
        self.seed = config.seed

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say where the file belongs; it can always be made."""
        path = data_dir / f"toy_seed{self.seed}.h5ad"
        return DatasetStatus(path, True, "on disk" if path.exists() else "made on first use")

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Write the file where it is not there."""
        from dygenept.testing import ToyShape, write_toy_h5ad

        path = data_dir / f"toy_seed{self.seed}.h5ad"
        return path if path.exists() else write_toy_h5ad(path, ToyShape(seed=self.seed))

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Read the file."""
        from dygenept.data.reading.anndata_file import read_anndata

        return read_anndata(self.fetch(data_dir, runtime), name=f"toy_file_{self.seed}")


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the data source ``toy_file``."""
    return [
        DatasetSpec(
            name="toy_file",
            summary="The toy data set, written to disk on first use.",
            source="this project",
            config=ToyFileConfig,
            factory=ToyFile,
        )
    ]
