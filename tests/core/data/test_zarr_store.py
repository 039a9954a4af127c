"""zarr stores give what files give; what is damaged, or may run code, is refused."""

from __future__ import annotations

import json
import resource
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
import zarr
from scipy import sparse

from dygenept.data import memory
from dygenept.data.memory import MemoryLimit
from dygenept.data.opening import open_data
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.outline import outline_file
from dygenept.data.reading.stored_cells import StoredCells
from dygenept.data.request import DataRequest
from dygenept.errors import DataError
from dygenept.plugin.environment import Environment
from dygenept.testing import write_toy_h5ad
from dygenept.types import DataMapping, no_report

# zarr itself says what may become of its formats of texts.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy_h5ad(tmp_path / "toy.h5ad")


def store_of(
    path: Path, edit: Callable[[anndata.AnnData], object] = lambda adata: None, version: int = 3
) -> Path:
    adata = anndata.read_h5ad(path)
    edit(adata)
    store = path.with_suffix(".zarr")
    with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=version):
        warnings.simplefilter("ignore")
        adata.write_zarr(store, chunks=(50, 13) if not sparse.issparse(adata.X) else None)
    return store


def with_matrix(convert: Callable[[sparse.csr_matrix], object]) -> Callable[..., None]:
    def edit(adata: anndata.AnnData) -> None:
        adata.X = convert(adata.X)

    return edit


@pytest.mark.parametrize(
    ("convert", "version"),
    [
        (sparse.csr_matrix, 2),
        (sparse.csr_matrix, 3),
        (sparse.csc_matrix, 3),
        (lambda x: x.toarray(), 3),
    ],
)
def test_a_store_gives_the_cells_and_fingerprint_of_a_file(
    convert: Callable[[sparse.csr_matrix], object], version: int, toy: Path
) -> None:
    expected = read_anndata(toy)
    store = store_of(toy, with_matrix(convert), version)
    data = read_anndata(store)
    assert (data.sha256, data.name, data.source) == (expected.sha256, "toy", str(store))
    assert data.is_simulated
    assert data.conditions == expected.conditions
    assert (data.expression != expected.expression).nnz == 0
    outline = outline_file(store)
    assert outline.data is not None
    assert outline.data.conditions == expected.conditions


def test_layers_raw_and_lists_are_read(toy: Path) -> None:
    def edit(adata: anndata.AnnData) -> None:
        adata.raw = adata.copy()
        adata.layers["half"] = adata.X / 2
        adata.X = None
        adata.uns["top_non_zero_de_20"] = {
            str(name): np.array(adata.var_names[:20])
            for name in adata.obs["condition_name"].unique()
        }

    adata = anndata.read_h5ad(toy)
    edit(adata)
    adata.write_h5ad(toy)
    store = store_of(toy)
    for layer in ("half", "raw"):
        mapping = DataMapping(layer=layer)
        expected, data = read_anndata(toy, mapping=mapping), read_anndata(store, mapping=mapping)
        assert data.sha256 == expected.sha256
        assert list(data.de_lists) == ["top_non_zero_de_20"]
    messages = []
    for path in (toy, store):
        with pytest.raises(DataError, match="X is empty") as caught:
            read_anndata(path)
        messages.append(str(caught.value).removeprefix(str(path)))
    assert messages[0] == messages[1]


def test_a_store_obeys_a_limit_on_memory(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(toy)
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    data = read_anndata(store, limit=MemoryLimit(1 << 50, tmp_path / "scratch"))
    assert isinstance(data.expression, StoredCells)
    assert data.sha256 == read_anndata(toy).sha256


def test_a_store_is_named_like_a_file(toy: Path, tmp_path: Path) -> None:
    store = store_of(toy)
    environment = Environment.load()
    data = open_data(DataRequest(dataset=str(store)), environment, no_report)
    assert data.file == str(store)
    with pytest.raises(DataError, match=r"no file .*absent\.zarr"):
        open_data(DataRequest(dataset=str(tmp_path / "absent.zarr")), environment, no_report)
    with pytest.raises(DataError, match="is a folder; give the path"):
        read_anndata(tmp_path)


def test_a_full_disk_is_said_plainly(toy: Path) -> None:
    store = store_of(toy)
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, allowed[1]))
    try:
        with pytest.raises(DataError, match=r"the disk of .* is full"):
            read_anndata(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)


def cut_short(store: Path) -> None:
    chunk = next((store / "X" / "data" / "c").rglob("0"))
    chunk.write_bytes(chunk.read_bytes()[:40])


def without_a_chunk(store: Path) -> None:
    next((store / "X" / "indices" / "c").rglob("0")).unlink()


def with_no_json(store: Path) -> None:
    (store / "obs" / "zarr.json").write_text("{")


def without_obs(store: Path) -> None:
    (store / "obs" / "zarr.json").unlink()
    consolidated = json.loads((store / "zarr.json").read_text())
    consolidated.pop("consolidated_metadata", None)
    (store / "zarr.json").write_text(json.dumps(consolidated))


def with_a_claim(store: Path) -> None:
    group = zarr.open_group(store / "X")
    del group["data"]
    group.create_array("data", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,))


def with_not_a_number(store: Path) -> None:
    values = zarr.open_group(store / "X")["data"]
    values[7] = np.nan


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, "cannot be read as a zarr store"),
        (without_a_chunk, "lacks 1 of its 1 chunks"),
        (with_no_json, "zarr store"),
        (without_obs, "has no 'obs'"),
        (with_a_claim, "claims"),
        (with_not_a_number, "X contains NaN or infinite values, 1 in all"),
    ],
)
def test_a_damaged_store_is_refused_by_name(
    damage: Callable[[Path], None], said: str, toy: Path
) -> None:
    store = store_of(toy)
    # What is written once for all parts would hide what becomes of one.
    root = json.loads((store / "zarr.json").read_text())
    root.pop("consolidated_metadata", None)
    (store / "zarr.json").write_text(json.dumps(root))
    damage(store)
    with pytest.raises(DataError, match=said) as caught:
        read_anndata(store)
    assert "toy.zarr" in str(caught.value)


def test_nothing_is_unpickled(toy: Path) -> None:
    store = store_of(toy, version=2)
    (store / ".zmetadata").unlink(missing_ok=True)
    path = store / "obs" / "condition" / "codes" / ".zarray"
    described = json.loads(path.read_text())
    described["filters"] = [{"id": "pickle", "protocol": 5}]
    path.write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"obs/condition|pickle"):
        read_anndata(store)


def test_codecs_that_are_not_known_to_be_harmless_are_refused(toy: Path) -> None:
    store = store_of(toy)
    (store / "zarr.json").write_text(
        json.dumps(json.loads((store / "zarr.json").read_text()) | {"consolidated_metadata": None})
    )
    path = store / "X" / "data" / "zarr.json"
    described = json.loads(path.read_text())
    strange = {"name": "numcodecs.quantize", "configuration": {"digits": 3, "dtype": "<f4"}}
    described["codecs"] = [strange, *described["codecs"]]
    path.write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"X/data is packed by 'quantize', which is not read"):
        read_anndata(store)


@pytest.mark.parametrize("place", [4, 12])
def test_a_blosc_chunk_that_lies_about_its_length_is_refused(toy: Path, place: int) -> None:
    store = store_of(toy, version=2)
    chunk = store / "X" / "data" / "0"
    content = bytearray(chunk.read_bytes())
    # Its unpacked and its packed length: the library would read beyond what is there.
    content[place : place + 4] = (1 << 31).to_bytes(4, "little")
    chunk.write_bytes(content)
    with pytest.raises(DataError, match=r"X/data (has a chunk 0 of another length|.*more)"):
        read_anndata(store)
