"""Other projects' knowledge files: what is read, and what is refused."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from dygenept.errors import ConfigError, DataError
from dygenept.knowledge.catalog import open_knowledge
from dygenept.knowledge.facets import FACETS
from dygenept.knowledge.formats.gene_vectors import read_gene_vectors
from dygenept.knowledge.formats.original import read_original, write_original
from dygenept.knowledge.formats.safe_pickle import read_pickle
from dygenept.knowledge.store import read_knowledge
from dygenept.plugin_manager import PluginManager
from dygenept.types import GeneKnowledge, Runtime

RNG = np.random.default_rng(0)
GENES = ("KLF1", "MAPK1", "α-gene")
VECTORS = RNG.normal(size=(3, 5)).astype(np.float32)


def knowledge() -> GeneKnowledge:
    values = RNG.normal(size=(3, 8, 5)).astype(np.float32)
    confidence = RNG.uniform(0.1, 1.0, size=(3, 8)).astype(np.float32)
    confidence[1, 2] = 0.0
    values[1, 2] = 0.0
    return GeneKnowledge("true", "0" * 64, GENES, FACETS, values, confidence)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".npz", ".safetensors"])
def test_original_file_is_read_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    true, path = knowledge(), tmp_path / f"facets{suffix}"
    if suffix == ".pth":
        write_original(true, tmp_path / "facets.pt")
        (tmp_path / "facets.pt").rename(path)
    else:
        write_original(true, path)
    read = read_knowledge(path)
    assert (read.name, read.genes, read.facet_names) == ("facets", GENES, FACETS)
    np.testing.assert_array_equal(read.values, true.values)
    np.testing.assert_array_equal(read.confidence, true.confidence)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_written_original_file_has_the_fields_of_the_original_model(tmp_path: Path) -> None:
    write_original(knowledge(), tmp_path / "f.pt")
    document = torch.load(tmp_path / "f.pt", weights_only=True)
    assert set(document) == {"tensor", "gene_to_idx", "facet_names", "confidence"}
    assert document["gene_to_idx"] == {"KLF1": 0, "MAPK1": 1, "α-gene": 2}
    assert document["facet_names"] == list(FACETS)
    assert document["tensor"].shape == (3, 8, 5)


def test_original_file_may_hold_half_precision_numpy_aliases_and_no_confidence(
    tmp_path: Path,
) -> None:
    tensor = RNG.normal(size=(3, 2, 4)).astype(np.float16)
    tensor[1, 0] = 0
    document = {
        "tensor": tensor,
        "gene_to_idx": {"B": 1, "A": 0, "ALIAS_OF_A": 0},
        "facet_names": ["x", "y"],
    }
    torch.save(document, tmp_path / "f.pt")
    read = read_original(tmp_path / "f.pt")
    assert read.genes == ("A", "ALIAS_OF_A", "B")
    np.testing.assert_array_equal(read.values, tensor[[0, 0, 1]].astype(np.float32))
    np.testing.assert_array_equal(read.confidence, [[1, 1], [1, 1], [0, 1]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_original_tensor_may_be_of_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.tensor(RNG.normal(size=(1, 1, 4)), dtype=dtype)
    torch.save({"tensor": tensor, "gene_to_idx": {"A": 0}, "facet_names": ["x"]}, tmp_path / "f.pt")
    read = read_original(tmp_path / "f.pt")
    np.testing.assert_array_equal(read.values, tensor.float().numpy())


def _document(**changed: object) -> dict[str, object]:
    document: dict[str, object] = {
        "tensor": torch.ones(2, 1, 3),
        "gene_to_idx": {"A": 0, "B": 1},
        "facet_names": ["x"],
        "confidence": torch.ones(2, 1),
    }
    return {**document, **changed}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tensor": torch.ones(2, 3)}, "expected .genes, facets, D."),
        ({"tensor": [1.0]}, "array of numbers"),
        ({"tensor": torch.full((2, 1, 3), torch.nan)}, "NaN"),
        ({"gene_to_idx": {"A": 2}}, "row below 2"),
        ({"gene_to_idx": {1: 0}}, "row below 2"),
        ({"gene_to_idx": {}}, "map gene symbols"),
        ({"gene_to_idx": ["A", "B"]}, "map gene symbols"),
        ({"facet_names": ["x", "y"]}, "expected .2, 2, D."),
        ({"facet_names": "x"}, "list of texts"),
        ({"confidence": torch.ones(2, 2)}, "confidence is"),
        ({"confidence": torch.full((2, 1), 1.5)}, "outside"),
        ({"confidence": torch.full((2, 1), torch.nan)}, "outside"),
    ],
)
def test_original_file_that_breaks_a_rule_is_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    torch.save(_document(**changed), tmp_path / "f.pt")
    with pytest.raises(DataError, match=message):
        read_original(tmp_path / "f.pt")


def test_original_file_without_a_field_names_it(tmp_path: Path) -> None:
    document = _document()
    del document["facet_names"]
    torch.save(document, tmp_path / "f.pt")
    with pytest.raises(DataError, match="lacks 'facet_names'"):
        read_original(tmp_path / "f.pt")


@pytest.mark.parametrize("content", [b"", b"not a file of weights", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors", ".parquet", ".csv", ".pickle"])
def test_damaged_file_is_refused_in_one_sentence(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="f" + suffix) as caught:
        read_knowledge(path)
    assert "\n" not in str(caught.value)


def test_original_file_is_not_written_under_an_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.safetensors"):
        write_original(knowledge(), tmp_path / "f.csv")


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
    with pytest.raises(DataError, match=r"refused|plain arrays"):
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
        ({"A": "text"}, "no vector"),
        ({"A": [True, False]}, "no vector"),
        ({"A": [[1.0], [2.0]]}, "no vector"),
        ({"A": np.ones((2, 2))}, "no vector"),
        ({"A": None}, "no vector"),
        ({1: [1.0]}, "no gene symbol"),
        ({"A": [float("nan")]}, "'A' holds NaN"),
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


def _wide_frame() -> pl.DataFrame:
    columns = {str(index): VECTORS[:, index] for index in range(5)}
    return pl.DataFrame({"gene": list(GENES), **columns})


def _write_table(path: Path) -> None:
    match path.name:
        case "wide.parquet":
            _wide_frame().write_parquet(path)
        case "list.parquet":
            frame = pl.DataFrame({"symbol": list(GENES), "embedding": VECTORS.tolist()})
            frame.write_parquet(path)
        case "array.parquet":
            dtype = pl.Array(pl.Float32, 5)
            series = pl.Series("v", VECTORS.tolist(), dtype=dtype)
            pl.DataFrame({"g": list(GENES), "v": series}).write_parquet(path)
        case "wide.csv":
            _wide_frame().write_csv(path)
        case "unnamed.tsv":
            _wide_frame().rename({"gene": ""}).write_csv(path, separator="\t")
        case "packed.csv.gz":
            import gzip

            stream = io.BytesIO()
            _wide_frame().write_csv(stream)
            path.write_bytes(gzip.compress(stream.getvalue()))
        case "keyed.npz":
            np.savez(path, **dict(zip(GENES, VECTORS, strict=True)))
        case "pair.npz":
            np.savez(path, genes=np.array(GENES), embeddings=VECTORS)


@pytest.mark.parametrize(
    "name",
    [
        "wide.parquet",
        "list.parquet",
        "array.parquet",
        "wide.csv",
        "unnamed.tsv",
        "packed.csv.gz",
        "keyed.npz",
        "pair.npz",
    ],
)
def test_table_of_vectors_is_read_as_one_facet(tmp_path: Path, name: str) -> None:
    _write_table(tmp_path / name)
    read = read_knowledge(tmp_path / name)
    assert (read.genes, read.facet_names) == (GENES, ("Whole Gene",))
    np.testing.assert_allclose(read.values[:, 0], VECTORS, rtol=1e-6)
    assert read.confidence.tolist() == [[1.0]] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,a\nA,1\nA,2\n", "'A' twice"),
        ("gene,a\nA,1\nB,\n", "empty cells"),
        ("gene,a\nA,1\n,2\n", "names no gene"),
        ("gene,a\nA,1\nB,x\n", "holds no numbers"),
        ("first,second,a\nA,B,1\n", "2 columns of text"),
        ("a,b\n1,2\n", "0 columns of text"),
        ("gene,a\n", "no gene"),
    ],
)
def test_table_that_breaks_a_rule_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_gene_vectors(tmp_path / "f.csv")


@pytest.mark.parametrize("name", ["f.pt", "f.safetensors", "f.pickle"])
def test_catalog_opens_every_format_by_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "f.pickle":
        path.write_bytes(pickle.dumps({"KLF1": [1.0, 2.0], "MAP3K21": [3.0, 4.0]}))
    else:
        write_original(knowledge(), path)
    opened = open_knowledge(
        str(path),
        entries={},
        manager=PluginManager(),
        genes=("NO_SUCH_GENE", "KLF1", "KIAA1804"),
        runtime=Runtime(),
    )
    assert opened.genes == ("NO_SUCH_GENE", "KLF1", "KIAA1804")
    assert opened.confidence[:2].any(axis=1).tolist() == [False, True]
    # An outdated symbol finds its gene in any format.
    assert opened.confidence[2].any() == (name == "f.pickle")


def test_missing_file_of_another_format_is_said_to_be_missing() -> None:
    from dygenept.errors import DataUnavailableError

    with pytest.raises(DataUnavailableError, match=r"nowhere\.pickle"):
        open_knowledge(
            "nowhere.pickle", entries={}, manager=PluginManager(), genes=(), runtime=Runtime()
        )


def test_sha256_follows_the_content(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps({"A": [value]}))
    first, second, third = (read_gene_vectors(tmp_path / f"{name}.pickle") for name in "abc")
    assert first.sha256 == second.sha256 != third.sha256
