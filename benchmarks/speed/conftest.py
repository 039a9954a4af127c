"""One simulated data set that all speed measurements share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated import simulation
from dygenept.data.simulated.export import write_simulation
from dygenept.data.simulated.profiles import SimulationProfile
from dygenept.data.simulated.simulation import simulate
from dygenept.types import DeGenes, PerturbationData, Pseudobulk

# 1.0 measures at full size; the default keeps `make test` short.
SCALE = float(os.environ.get("DYGENEPT_SPEED_SCALE", "0.01"))


@pytest.fixture(scope="session")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speed") / "sim.h5ad"
    write_simulation(simulate("k562", scale=SCALE), path)
    return path


@pytest.fixture(scope="session")
def write_shape() -> Callable[[SimulationProfile, Path], None]:
    """Return a function that simulates a data set of any shape and writes it."""

    def write(shape: SimulationProfile, path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(simulation, "profile_named", lambda name: shape)
            write_simulation(simulation.simulate(shape.name), path)

    return write


@pytest.fixture(scope="session")
def data(data_path: Path) -> PerturbationData:
    return read_anndata(data_path)


@pytest.fixture(scope="session")
def means(data: PerturbationData) -> Pseudobulk:
    return pseudobulk(data)


@pytest.fixture(scope="session")
def de(data: PerturbationData, means: Pseudobulk) -> DeGenes:
    return de_genes(data, means)
