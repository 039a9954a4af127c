from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from dygenept.knowledge.graph.cache import GraphCache, GraphManifest
from dygenept.knowledge.graph.whole_graph import WholeGraph


def kept(folder: Path) -> GraphCache:
    upper = sparse.csr_matrix(np.array([[0.0, 1.0, 0.5], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]))
    cache = GraphCache(folder)
    cache.write(
        WholeGraph(
            genes=("A", "B", "C"), upper=upper, n_records=3, dropped={}, n_renamed=0, n_unknown=0
        ),
        GraphManifest(
            source="toy", layout="edges", identity="one", inputs={}, config={}, versions={}
        ),
    )
    return cache


def test_a_kept_graph_is_read_as_it_was(tmp_path: Path) -> None:
    found = kept(tmp_path).read("one")
    assert found is not None
    assert found.genes == ("A", "B", "C")
    assert found.upper.toarray().tolist() == [[0.0, 1.0, 0.5], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("indptr", [0, 2, 3, -(2**31)]),
        ("indptr", [0, 3, 2, 3]),
        ("indices", [1, 2, 3]),
        ("indices", [1, -1, 2]),
        ("data", ["0.5", "1", "2"]),
        ("data", [0.5, np.nan, 2.0]),
    ],
)
def test_a_matrix_that_is_none_is_left_out_although_its_checksum_agrees(
    part: str, values: list[object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = kept(tmp_path)
    (matrix,) = tmp_path.rglob("*.npz")
    (manifest,) = tmp_path.rglob("*.json")
    with np.load(matrix) as file:
        arrays = {**file, part: np.array(values)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    matrix.write_bytes(buffer.getvalue())
    document = json.loads(manifest.read_text())
    document["matrix_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    manifest.write_text(json.dumps(document))
    assert cache.read("one") is None
    assert "it is read again from its files" in caplog.text
