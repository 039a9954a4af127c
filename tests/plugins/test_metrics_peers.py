"""The metrics against what the packages that defined them gave for the toy data.

``metric_fixtures/peers.py`` ran cell-eval 0.8.2, scanpy 1.11.5 and cell-gears 0.1.2.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.testing import write_toy_h5ad

FOLDER = Path(__file__).with_name("metric_fixtures")
PEERS: dict[str, dict[str, dict[str, float]]] = json.loads((FOLDER / "peers.json").read_text())
CASES = [(peer, metric) for peer, metrics in PEERS.items() for metric in metrics]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    spec = importlib.util.spec_from_file_location("metric_peers", FOLDER / "peers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("peers") / "toy.h5ad"
    write_toy_h5ad(path, module.SHAPE)
    values: dict[str, dict[str, float]] = module.our_values(module.peer_inputs(read_anndata(path)))
    return values


@pytest.mark.parametrize(("peer", "metric"), CASES, ids=str)
def test_a_metric_gives_what_its_peer_gives(
    ours: dict[str, dict[str, float]], peer: str, metric: str
) -> None:
    expected = PEERS[peer][metric]
    assert expected
    assert {label: ours[metric][label] for label in expected} == pytest.approx(expected, abs=1e-6)
