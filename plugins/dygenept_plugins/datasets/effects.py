"""Tables of effects as registered data sets: a file of one's own, or one that is fetched.

Source: this project; each registry entry cites the study. A table stays under the terms of whoever
publishes it: it is fetched, never shipped. It loads only what the registry entry names.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dygenept.plugin import DatasetSpec, DatasetStatus, DataUnavailableError, MappedConfig, hookimpl
from dygenept.types import PerturbationData, Runtime


class EffectsConfig(MappedConfig):
    """One table, which column of it is what, and ``cells``, a file of control cells beside it.

    Attributes:
        path: The file; a relative path starts from the folder of data sets, as that of ``cells``.
        name: Name of the data set in records; None for the file's name.
        url: Where it is fetched from if it is not there; None for a file of one's own.
        sha256: SHA-256 that it must have; None trusts the first one that was fetched.
    """

    path: Path
    name: str | None = None
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")


class EffectsSource:
    """Fetches, where it can, and reads one table."""

    def __init__(self, config: EffectsConfig) -> None:
        self._config = config

    def path(self, data_dir: Path) -> Path:
        """Return where the file is, or belongs."""
        return data_dir / self._config.path.expanduser()

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say whether the file is there."""
        path, url = self.path(data_dir), self._config.url
        if path.is_file():
            return DatasetStatus(path, True, f"{path.stat().st_size / 1e6:,.1f} MB on disk")
        return DatasetStatus(path, False, f"would be fetched from {url}" if url else "not there")

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Return the file, downloading it where it is not there.

        Raises:
            DataUnavailableError: If it is not there and cannot be fetched.
        """
        from dygenept.machine.fetched_files import Wanted, fetch_file

        config, path = self._config, self.path(data_dir)
        if config.url is None:
            if not path.is_file():
                raise DataUnavailableError(f"no file {path}; correct its path in the registry")
            return path
        try:
            wanted = Wanted(path=path, urls=(config.url,), sha256=config.sha256)
            fetch_file(wanted, runtime.report)
        except (DataUnavailableError, OSError) as error:
            raise DataUnavailableError(
                f"{path.name} could not be fetched ({error}); fetch {config.url} by hand and put "
                f"it at {path}"
            ) from error
        return path

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Fetch if needed, read and check."""
        from dygenept.data.effects.reading import read_effects

        config, path = self._config, self.fetch(data_dir, runtime)
        mapping = config.mapping()
        if mapping.control_cells is not None:
            mapping = replace(
                mapping, control_cells=str(data_dir / Path(mapping.control_cells).expanduser())
            )
        data = read_effects(path, name=config.name, mapping=mapping, normalize=config.normalize)
        return data if config.url else replace(data, file=str(path.absolute()))


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the source of tables of effects."""
    return [
        DatasetSpec(
            name="effects",
            summary="A table of labels or values per perturbation and gene",
            source="this project",
            config=EffectsConfig,
            factory=EffectsSource,
            gives="effects",
            check_options={"path": "absent.csv"},
        )
    ]
