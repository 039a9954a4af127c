from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.data.simulated.truth import read_truth
from dygenept.errors import ConfigError, DataUnavailableError
from dygenept.plugin.interfaces import DatasetSource
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import DatasetSpec
from dygenept.types import Progress, Runtime
from dygenept_plugins.datasets import simulated

OPTIONS: dict[str, object] = {"profile": "dixit", "scale": 0.01}


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return PluginManager.load([simulated.__name__], entry_points=False)


def _source(manager: PluginManager, options: dict[str, object]) -> DatasetSource:
    spec = manager.get(DatasetSpec, "simulated")
    return spec.factory(manager.configure(spec, options))


def test_the_source_is_registered_and_keeps_its_contract(manager: PluginManager) -> None:
    assert isinstance(_source(manager, OPTIONS), DatasetSource)


def test_status_says_where_the_file_belongs_without_making_it(
    manager: PluginManager, tmp_path: Path
) -> None:
    status = _source(manager, OPTIONS).status(tmp_path)
    assert status.path == (
        tmp_path / "simulated" / "dixit-scale0.01-seed0-v4" / "perturb_processed.h5ad"
    )
    assert status.is_present
    assert "simulated on first use" in status.detail
    assert not list(tmp_path.iterdir())


def test_loading_twice_gives_the_same_fingerprint_from_one_file(
    manager: PluginManager, tmp_path: Path
) -> None:
    source = _source(manager, OPTIONS)
    data = source.load(tmp_path / "one", Runtime())
    assert data.is_simulated
    assert data.name == "sim:dixit@0.01"
    assert data.draw == 0
    path = source.fetch(tmp_path / "one", Runtime())
    written = path.stat().st_mtime_ns
    assert source.load(tmp_path / "one", Runtime()).sha256 == data.sha256
    assert path.stat().st_mtime_ns == written
    assert source.status(tmp_path / "one").detail.endswith("MB")
    assert source.load(tmp_path / "two", Runtime()).sha256 == data.sha256


def test_a_file_of_an_older_version_is_not_read(manager: PluginManager, tmp_path: Path) -> None:
    old = tmp_path / "simulated" / "dixit-scale0.01-seed0-v2" / "perturb_processed.h5ad"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"cells of the second version")
    source = _source(manager, OPTIONS)
    assert source.fetch(tmp_path, Runtime()) != old
    assert source.load(tmp_path, Runtime()).is_simulated
    assert old.read_bytes() == b"cells of the second version"


def test_another_seed_is_another_data_set(manager: PluginManager, tmp_path: Path) -> None:
    first = _source(manager, OPTIONS).load(tmp_path, Runtime())
    other = _source(manager, OPTIONS | {"seed": 1}).load(tmp_path, Runtime())
    assert other.name == "sim:dixit@0.01-seed1"
    assert other.sha256 != first.sha256
    assert other.draw == 1
    assert other.source != first.source


def test_the_draw_that_ships_is_used_at_full_size_and_named_in_its_folder(
    manager: PluginManager, tmp_path: Path
) -> None:
    full = _source(manager, {"profile": "norman"})
    path = tmp_path / "simulated" / "norman-scale1-seed1-v4" / "perturb_processed.h5ad"
    assert full.status(tmp_path).path == path
    assert "draw 1" in full.status(tmp_path).detail
    # Asked for by its number it is the same data set; the former one is another.
    asked = _source(manager, {"profile": "norman", "seed": 1})
    assert isinstance(asked, simulated.SimulatedSource)
    assert (asked.name, asked.path(tmp_path)) == ("sim:norman", path)
    former = _source(manager, {"profile": "norman", "seed": 0})
    assert isinstance(former, simulated.SimulatedSource)
    assert former.name == "sim:norman-seed0"
    assert former.path(tmp_path).parent.name == "norman-scale1-seed0-v4"


def test_smaller_scales_keep_draw_0(manager: PluginManager, tmp_path: Path) -> None:
    small = _source(manager, {"profile": "norman", "scale": 0.05})
    assert isinstance(small, simulated.SimulatedSource)
    assert small.path(tmp_path).parent.name == "norman-scale0.05-seed0-v4"
    assert small.name == "sim:norman@0.05"


def test_truth_is_in_the_order_of_the_loaded_conditions(
    manager: PluginManager, tmp_path: Path
) -> None:
    source = _source(manager, {"profile": "norman", "scale": 0.01})
    data = source.load(tmp_path, Runtime())
    truth = read_truth(source.fetch(tmp_path, Runtime()))
    assert tuple(condition.label for condition in data.conditions) == truth.labels
    assert truth.delta.shape == (len(data.conditions), data.n_genes)
    assert data.target_genes == truth.target_genes
    assert len(truth.state_codes) == data.n_cells
    assert np.isfinite(truth.delta).all()


def test_fetch_reports_its_progress(manager: PluginManager, tmp_path: Path) -> None:
    seen: list[Progress] = []
    _source(manager, OPTIONS).fetch(tmp_path, Runtime(report=seen.append))
    assert {progress.stage for progress in seen} == {"simulate"}
    assert seen[-1].step == seen[-1].total > 0


def test_a_folder_that_cannot_be_written_is_named(manager: PluginManager, tmp_path: Path) -> None:
    (tmp_path / "simulated").write_text("a file stands in the way")
    with pytest.raises(DataUnavailableError, match="DYGENEPT_DATA"):
        _source(manager, OPTIONS).fetch(tmp_path, Runtime())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "k526"}, "did you mean 'k562'"),
        ({"scale": 0.0}, "greater than 0"),
        ({"scale": 2.0}, "less than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"sacle": 0.5}, "did you mean 'scale'"),
    ],
)
def test_bad_options_are_refused(
    manager: PluginManager, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _source(manager, options)
