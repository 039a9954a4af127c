"""Pickles of gene vectors: what is read, and that nothing in one is ever run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dygenept.errors import DataError
from dygenept.knowledge.store.formats.gene_vectors import read_gene_vectors
from dygenept.knowledge.store.formats.safe_pickle import read_pickle
from dygenept.knowledge.store.knowledge_files import read_knowledge

GENES = ("KLF1", "MAPK1", "α-gene")
VECTORS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)


class Attack:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path, how: Callable[..., object]) -> None:
        self.path, self.how = path, how

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return self.how, (f"touch '{self.path}'",)


@pytest.mark.parametrize("how", [os.system, eval])
@pytest.mark.parametrize("suffix", [".pickle", ".pkl", ".pt", ".npz"])
@pytest.mark.parametrize("protocol", [0, 5])
def test_file_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, how: Callable[..., object], suffix: str, protocol: int
) -> None:
    proof, path = tmp_path / "proof", tmp_path / f"f{suffix}"
    attack = {"KLF1": [1.0, 2.0], "MAPK1": Attack(proof, how)}
    if suffix == ".pt":
        torch.save(attack, path, pickle_protocol=max(protocol, 2))
    elif suffix == ".npz":
        np.savez(path, genes=np.array([Attack(proof, how)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(attack, protocol=protocol))
    with pytest.raises(DataError, match=r"refused|may run code"):
        read_knowledge(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    "content",
    [
        # A change of a known name, by the state that a pickle may give an object.
        b"\x80\x04cnumpy\ndtype\nN}\x8c\x05_callcos\nsystem\ns\x86b.",
        b"\x80\x04c_codecs\nencode\nN}\x8c\x05_callK\x01s\x86b.",
        b"\x80\x04cnumpy\nndarray\n)\x81.",
        b"\x80\x04cnumpy\nndarray\n)R.",
        b"cnumpy.core.multiarray\n_reconstruct\n(tRcos\nsystem\nb.",
        b"cbuiltins\ngetattr\n.",
        b"cnumpy\ndtype.__class__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0edtype.newbyteo\x93.",
        b"P123\n.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_pickle_that_misuses_what_it_may_use_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f.pickle"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_pickle(path)


class _Forged:
    """An array whose notes say more than its bytes hold."""

    def __init__(self, shape: tuple[object, ...], code: str, content: bytes) -> None:
        self.shape, self.code, self.content = shape, code, content

    def __reduce__(self) -> tuple[object, ...]:
        reconstruct = np.zeros(1).__reduce__()[0]
        dtype = np.dtype(self.code)
        return reconstruct, (np.ndarray, (0,), b"b"), (1, self.shape, dtype, False, self.content)


@pytest.mark.parametrize(
    "forged",
    [
        _Forged((1 << 40,), "f4", b"1234"),
        _Forged((-1,), "f4", b"1234"),
        _Forged((True,), "f4", b"1234"),
        _Forged((1,), "O", b"12345678"),
        _Forged((1,), "V4", b"1234"),
        _Forged((1,), "M8[s]", b"12345678"),
        _Forged((2, 2), "f4", b""),
    ],
)
def test_forged_array_is_refused(tmp_path: Path, forged: _Forged) -> None:
    path = tmp_path / "f.pickle"
    path.write_bytes(pickle.dumps({"A": forged}))
    with pytest.raises(DataError, match="refused"):
        read_pickle(path)


def test_pickle_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    endless: list[object] = []
    endless.append(endless)
    wide: object = [0]
    for _ in range(60):
        wide = [wide] * 60
    for number, value in enumerate((endless, wide)):
        path = tmp_path / f"{number}.pickle"
        path.write_bytes(pickle.dumps({"A": value}))
        with pytest.raises(DataError, match="nested too deeply"):
            read_pickle(path)


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_vectors_are_read_under_every_protocol(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "list": [0.5, -1.0],
        "tuple": (1, 2.5),
        "float32": np.array([1.5, 2.5], dtype=np.float32),
        "big endian": np.array([1.0, 2.0], dtype=">f8"),
        "half": np.array([1.0, 2.0], dtype=np.float16),
        "row": np.array([[3.0, 4.0]]),
        "every second": np.arange(4.0)[::2],
        "fortran": np.asfortranarray(np.arange(2.0)[None]),
        "numbers of numpy": [np.float64(0.25), np.float32(0.5)],
        "integers": np.array([1, 2]),
        "zeros": [0.0, 0.0],
    }
    path = tmp_path / "GenePT.pickle"
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))
    read = read_gene_vectors(path)
    expected = np.array([np.asarray(item, dtype=np.float32).ravel() for item in arrays.values()])
    assert read.genes == tuple(arrays)
    assert read.values.shape == (len(arrays), 1, 2)
    np.testing.assert_array_equal(read.values[:, 0], expected)
    # The published files hold zeros for genes without text.
    np.testing.assert_array_equal(read.confidence[:, 0], [1.0] * 10 + [0.0])


def test_pickle_of_the_older_numpy_is_read(tmp_path: Path) -> None:
    content = pickle.dumps({"A": np.array([1.0, 2.0])}, protocol=2)
    older = content.replace(b"numpy._core", b"numpy.core")
    assert older != content
    (tmp_path / "f.pkl").write_bytes(older)
    np.testing.assert_array_equal(read_gene_vectors(tmp_path / "f.pkl").values[0, 0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"A": [1.0, 2.0], "B": [1.0]}, "'B' has 1 numbers"),
        ({"A": "text"}, "is not a vector"),
        ({"A": [True, False]}, "is not a vector"),
        ({"A": [[1.0], [2.0]]}, "is not a vector"),
        ({"A": np.ones((2, 2))}, "is not a vector"),
        ({"A": None}, "is not a vector"),
        ({1: [1.0]}, "is not a gene symbol"),
        ({"A": [float("nan")]}, "'A' contains NaN"),
        ({"A": [1e300]}, "infinite"),
        ({"A": []}, "length 0"),
        ({}, "dict of gene symbol"),
        ([[1.0]], "dict of gene symbol"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_pickle_that_holds_no_vectors_is_refused(
    tmp_path: Path, document: object, message: str
) -> None:
    (tmp_path / "f.pickle").write_bytes(pickle.dumps(document))
    with pytest.raises(DataError, match=message):
        read_gene_vectors(tmp_path / "f.pickle")


def test_data_frame_in_a_pickle_is_refused_with_a_way_out(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame(VECTORS, index=list(GENES)).to_pickle(tmp_path / "f.pkl")
    with pytest.raises(DataError, match=r"the name pandas\..*\.parquet"):
        read_gene_vectors(tmp_path / "f.pkl")
