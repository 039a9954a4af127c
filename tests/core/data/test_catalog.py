from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dygenept.data.catalog import (
    DatasetEntry,
    fetch_dataset,
    open_dataset,
    resolve_dataset,
    source_of,
)
from dygenept.errors import ConfigError, DataError, DataUnavailableError, PluginError
from dygenept.machine.folders import default_data_dir
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.testing import ToyShape, write_toy_h5ad
from dygenept.types import PerturbationData, Runtime

ENTRIES = {
    "replogle_k562_essential": DatasetEntry.model_validate(
        {
            "source": "gears",
            "aliases": ["k562"],
            "file_id": 7458695,
            "folder": "replogle_k562_essential",
            "url": "http://127.0.0.1:9/none",
            "stand_in": "sim:k562",
        }
    ),
    "sim:k562": DatasetEntry.model_validate({"source": "simulated", "profile": "k562"}),
    "sim:dixit": DatasetEntry.model_validate({"source": "simulated", "profile": "dixit"}),
}


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    modules = ["gears", "simulated"]
    return PluginManager.load(
        [f"dygenept_plugins.datasets.{name}" for name in modules], entry_points=False
    )


def environment(manager: PluginManager, data_dir: Path = Path()) -> Environment:
    datasets = {name: entry.model_dump(exclude_unset=True) for name, entry in ENTRIES.items()}
    return Environment(
        registry=Registry(datasets=datasets),
        manager=manager,
        data_dir=data_dir,
        cache_dir=data_dir,
    )


def open_(
    name: str,
    manager: PluginManager,
    data_dir: Path,
    *,
    normalize: bool = False,
    scale: float | None = None,
) -> PerturbationData:
    return open_dataset(
        name, environment(manager, data_dir), Runtime(), normalize=normalize, scale=scale
    )


def test_a_file_is_opened_by_path(manager: PluginManager, tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "mine.h5ad")
    data = open_(str(path), manager, tmp_path)
    assert (data.name, data.source) == ("mine", str(path))
    fetched = fetch_dataset(str(path), environment(manager, tmp_path), Runtime())
    assert fetched == path


def test_an_absent_file_is_reported_as_a_file(manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        open_(str(tmp_path / "absent.h5ad"), manager, tmp_path)


@pytest.mark.parametrize("name", ["k562", "replogle_k562_essential"])
def test_a_registered_file_on_disk_is_opened_by_name_and_alias(
    manager: PluginManager, tmp_path: Path, name: str
) -> None:
    write_toy_h5ad(tmp_path / "replogle_k562_essential" / "perturb_processed.h5ad")
    assert open_(name, manager, tmp_path).name == "replogle_k562_essential"


def test_a_name_wins_over_a_file_of_that_name(
    manager: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy_h5ad(tmp_path / "k562")
    resolved = resolve_dataset("k562", environment(manager))
    assert resolved.name == "replogle_k562_essential"
    assert resolve_dataset("./k562", environment(manager)).path == Path("./k562")


def test_an_unknown_name_names_the_nearest(manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'k562'"):
        open_("k563", manager, tmp_path)
    with pytest.raises(DataError, match="did you mean 'sim:dixit'"):
        open_("sim:dixt@0.1", manager, tmp_path)


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("sim:k562", None, None),
        ("sim:k562@0.1", None, 0.1),
        ("sim:k562", 0.2, 0.2),
        ("sim:k562@0.1", 0.2, 0.2),
        ("sim:k562@1e-2", None, 0.01),
    ],
)
def test_a_scale_comes_from_the_name_or_the_option(
    manager: PluginManager, name: str, scale: float | None, expected: float | None
) -> None:
    resolved = resolve_dataset(name, environment(manager), scale=scale)
    assert resolved.name == "sim:k562"
    assert resolved.entry is not None
    assert resolved.entry.options.get("scale") == expected
    assert "scale" not in ENTRIES["sim:k562"].options


def test_a_simulated_set_is_made_at_the_scale_asked_for(
    manager: PluginManager, tmp_path: Path
) -> None:
    data = open_("sim:dixit@0.02", manager, tmp_path)
    assert data.is_simulated
    assert data.name == "sim:dixit@0.02"
    assert data.n_cells < 5000


@pytest.mark.parametrize("scale", [0.0, 1.5])
def test_a_scale_out_of_range_is_refused(
    manager: PluginManager, tmp_path: Path, scale: float
) -> None:
    with pytest.raises(ConfigError, match=r"datasets\.sim:k562\.scale"):
        open_("sim:k562", manager, tmp_path, scale=scale)


def test_a_scale_that_is_not_a_number_is_refused(manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"such as sim:k562@0\.1"):
        open_("sim:k562@half", manager, tmp_path)


def test_real_data_cannot_be_scaled(manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be scaled"):
        open_("k562@0.1", manager, tmp_path)
    path = write_toy_h5ad(tmp_path / "mine.h5ad", ToyShape(n_doubles=0))
    with pytest.raises(ConfigError, match="cannot be scaled"):
        open_(str(path), manager, tmp_path, scale=0.5)


def test_a_registered_set_is_never_normalised_again(manager: PluginManager, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave --normalize out"):
        open_("sim:dixit@0.02", manager, tmp_path, normalize=True)


def test_a_set_that_cannot_be_fetched_is_unavailable(
    manager: PluginManager, tmp_path: Path
) -> None:
    with pytest.raises(DataUnavailableError, match="sim:k562"):
        open_("k562", manager, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_unknown_option_or_source_is_refused(manager: PluginManager) -> None:
    entry = DatasetEntry.model_validate({"source": "simulated", "profil": "k562"})
    with pytest.raises(ConfigError, match="did you mean 'profile'"):
        source_of("sim:x", entry, manager=manager)
    with pytest.raises(PluginError, match="did you mean 'gears'"):
        source_of("x", DatasetEntry(source="gear"), manager=manager)


def test_the_data_folder_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path
    monkeypatch.delenv("DYGENEPT_DATA")
    assert default_data_dir().name == "dygenept"


def test_the_catalog_loads_no_heavy_library() -> None:
    code = (
        "import sys, dygenept.data.catalog, dygenept.data.reading.anndata_file, "
        "dygenept.data.task, dygenept.machine.download, dygenept_plugins.datasets.gears; "
        "heavy = {'torch', 'transformers', 'anndata', 'pandas', 'sklearn', 'polars', 'scipy', "
        "'h5py', 'httpx2'} & set(sys.modules); sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
