"""Simulated stand-ins of the five data sets, with planted effects.

They have the shape of Norman 2019, Adamson 2016, Dixit 2016 and Replogle 2022 (K562, RPE1) as
GEARS publishes them, and not one real cell. Effects follow the shipped GO annotation (Gene
Ontology, CC BY 4.0; NCBI Gene, public domain). Source: this project.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from dygenept.data.simulated.profiles import PROFILES, SIMULATION_VERSION, profile_named
from dygenept.plugin import (
    ConfigError,
    DatasetSpec,
    DatasetStatus,
    DataUnavailableError,
    PluginConfig,
    hookimpl,
)
from dygenept.types import DataOutline, PerturbationData, Runtime


class SimulatedConfig(PluginConfig):
    """What to simulate.

    Attributes:
        profile: ``norman``, ``adamson``, ``dixit``, ``k562`` or ``rpe1``.
        scale: In (0, 1]; shrinks cells, genes and perturbations.
        seed: Non-negative; another seed draws other targets, programs and cells. None takes the
            draw that ships: at full size the first that looks like the real screens at hand
            (``SimulationProfile.draw``), at smaller scales 0.
    """

    profile: str = "k562"
    scale: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int | None = Field(default=None, ge=0)

    @field_validator("profile")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            return profile_named(value).name
        except ConfigError as error:
            raise ValueError(str(error)) from error


class SimulatedSource:
    """Makes a simulated data set once, keeps it on disk, and reads it like any other."""

    def __init__(self, config: SimulatedConfig) -> None:
        self._config = config
        self._default_seed = PROFILES[config.profile].default_seed(config.scale)
        self._seed = self._default_seed if config.seed is None else config.seed

    @property
    def name(self) -> str:
        """Name of the data set: ``sim:k562``, ``sim:k562@0.02``, ``sim:k562@0.02-seed1``.

        A seed is named unless it is the one that is taken where none is asked for.
        """
        config = self._config
        scale = "" if config.scale == 1.0 else f"@{config.scale:.10g}"
        seed = "" if self._seed == self._default_seed else f"-seed{self._seed}"
        return f"sim:{config.profile}{scale}{seed}"

    def path(self, data_dir: Path) -> Path:
        """Return where the file is, or belongs; a new version of the simulation goes elsewhere."""
        config = self._config
        folder = f"{config.profile}-scale{config.scale:.10g}-seed{self._seed}-v{SIMULATION_VERSION}"
        return data_dir / "simulated" / folder / "perturb_processed.h5ad"

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say where the data set is, without making or reading it."""
        path = self.path(data_dir)
        if path.is_file():
            detail = f"{path.stat().st_size / 1e6:,.1f} MB"
        else:
            shape = PROFILES[self._config.profile].scaled(self._config.scale)
            detail = (
                f"simulated on first use: {shape.n_cells:,} cells × {shape.n_genes:,} genes, "
                f"draw {self._seed}, no network needed"
            )
        # It can always be made, so nothing is ever missing.
        return DatasetStatus(path=path, is_present=True, detail=detail)

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Simulate and write the data set where it is not on disk yet; return its path.

        Raises:
            DataUnavailableError: If the folder cannot be written.
        """
        from dygenept.data.simulated.export import write_simulation
        from dygenept.data.simulated.simulation import simulate

        path = self.path(data_dir)
        if path.is_file():
            return path
        config = self._config
        simulation = simulate(config.profile, scale=config.scale, seed=self._seed, runtime=runtime)
        try:
            write_simulation(simulation, path)
        except OSError as error:
            raise DataUnavailableError(
                f"{self.name} cannot be written to {path}: {error}; free some space, or set "
                "DYGENEPT_DATA to a folder that can be written"
            ) from error
        return path

    def fetch_anew(self, data_dir: Path, runtime: Runtime) -> Path:
        """Simulate the data set again, whatever is there."""
        self.path(data_dir).unlink(missing_ok=True)
        return self.fetch(data_dir, runtime)

    def outline(self, data_dir: Path) -> DataOutline:
        """Say what the data set contains, made or not, without reading expression."""
        from dygenept.data.reading.outline import outline_file
        from dygenept.types import DataOutline

        path = self.path(data_dir)
        if path.is_file():
            return outline_file(path, name=self.name)
        shape = PROFILES[self._config.profile].scaled(self._config.scale)
        return DataOutline(
            n_cells=shape.n_cells,
            n_genes=shape.n_genes,
            n_perturbations=shape.n_perturbations,
            n_controls=shape.n_controls,
        )

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Make the data set if needed, read and check it."""
        from dygenept.data.memory import MemoryLimit
        from dygenept.data.reading.anndata_file import read_anndata

        path, limit = self.fetch(data_dir, runtime), MemoryLimit.of(runtime)
        return read_anndata(path, name=self.name, limit=limit)


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the source of simulated data sets."""
    return [
        DatasetSpec(
            name="simulated",
            summary="Seeded stand-ins of the five data sets, with planted effects.",
            source="this project",
            config=SimulatedConfig,
            factory=SimulatedSource,
            streams=True,
            check_options={"profile": "dixit", "scale": 0.02},
        )
    ]
