"""Registered tables of effects: ``effects`` finds, fetches and reads them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from scripted_server import Answer, serving

from dygenept.errors import DataUnavailableError
from dygenept.testing.toy import write_toy_h5ad
from dygenept.types import Runtime
from dygenept_plugins.datasets.effects import EffectsConfig, EffectsSource

TABLE = "pert,gene,label,split\n" + "".join(
    f"{target},{gene},{number % 2},{'test' if target == 'KLF1' else 'train'}\n"
    for target in ("KLF1", "GATA1", "MAPK1")
    for number, gene in enumerate(("TP53", "JUN", "FOS", "MYC"))
)


def test_a_table_of_ones_own_is_read_under_its_registered_name(tmp_path: Path) -> None:
    source = EffectsSource(EffectsConfig(path=Path("own.csv"), name="own"))
    assert not source.status(tmp_path).is_present
    with pytest.raises(DataUnavailableError, match="correct its path in the registry"):
        source.load(tmp_path, Runtime())
    (tmp_path / "own.csv").write_text(TABLE)
    assert source.status(tmp_path).is_present
    data = source.load(tmp_path, Runtime())
    assert (data.name, data.file) == ("own", str(tmp_path / "own.csv"))
    assert data.effects is not None
    assert data.effects.n_pairs == 12
    assert [item.label for item in data.conditions] == ["GATA1", "KLF1", "MAPK1"]


def test_an_entry_names_control_cells_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(TABLE)
    write_toy_h5ad(tmp_path / "cells.h5ad")
    source = EffectsSource(EffectsConfig(path=Path("own.csv"), control_cells="cells.h5ad"))
    data = source.load(tmp_path, Runtime())
    assert data.effects is not None
    assert data.effects.controls is not None
    assert data.effects.controls.expression.shape[0] == 60


def test_a_table_that_is_published_is_fetched_once(tmp_path: Path) -> None:
    with serving() as server:
        server.answers["/k562-dir.csv.gz"] = Answer(gzip.compress(TABLE.encode()))
        config = EffectsConfig(path=Path("pq/k562-dir.csv.gz"), url=f"{server.url}/k562-dir.csv.gz")
        source = EffectsSource(config)
        assert source.status(tmp_path).detail.startswith("would be fetched from http://")
        first = source.load(tmp_path, Runtime())
        again = source.load(tmp_path, Runtime())
    assert first.sha256 == again.sha256
    assert first.file is None
    assert len(server.requests) == 1
