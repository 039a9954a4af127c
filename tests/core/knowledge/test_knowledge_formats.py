"""Other projects' knowledge files: told apart, opened by path, and tables of gene vectors."""

from __future__ import annotations

import gzip
import io
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dygenept.errors import DataError
from dygenept.knowledge.catalog import open_knowledge
from dygenept.knowledge.store.formats.gene_vectors import read_gene_vectors
from dygenept.knowledge.store.formats.original import write_original
from dygenept.knowledge.store.knowledge_files import read_knowledge
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.types import FACETS, GeneKnowledge, Runtime

GENES = ("KLF1", "MAPK1", "α-gene")
VECTORS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)


def original() -> GeneKnowledge:
    values = VECTORS[:, None, :].repeat(8, axis=1)
    return GeneKnowledge("true", "0" * 64, GENES, FACETS, values, np.ones((3, 8), np.float32))


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


EMPTY = Environment(registry=Registry(), manager=PluginManager(), data_dir=Path(), cache_dir=Path())


@pytest.mark.parametrize("name", ["f.pt", "f.safetensors", "f.pickle"])
def test_catalog_opens_every_format_by_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "f.pickle":
        path.write_bytes(pickle.dumps({"KLF1": [1.0, 2.0], "MAP3K21": [3.0, 4.0]}))
    else:
        write_original(original(), path)
    opened = open_knowledge(
        str(path),
        ("NO_SUCH_GENE", "KLF1", "KIAA1804"),
        environment=EMPTY,
        runtime=Runtime(),
    )
    assert opened.genes == ("NO_SUCH_GENE", "KLF1", "KIAA1804")
    assert opened.confidence[:2].any(axis=1).tolist() == [False, True]
    # An outdated symbol finds its gene in any format.
    assert opened.confidence[2].any() == (name == "f.pickle")


def test_missing_file_of_another_format_is_said_to_be_missing() -> None:
    from dygenept.errors import DataUnavailableError

    with pytest.raises(DataUnavailableError, match=r"nowhere\.pickle"):
        open_knowledge("nowhere.pickle", (), environment=EMPTY, runtime=Runtime())


def test_sha256_follows_the_content(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps({"A": [value]}))
    first, second, third = (read_gene_vectors(tmp_path / f"{name}.pickle") for name in "abc")
    assert first.sha256 == second.sha256 != third.sha256


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
        ("gene,a\nA,1\nB,x\n", "contains no numbers"),
        ("first,second,a\nA,B,1\n", "2 columns of text"),
        ("a,b\n1,2\n", "0 columns of text"),
        ("gene,a\n", "no gene"),
    ],
)
def test_table_that_breaks_a_rule_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_gene_vectors(tmp_path / "f.csv")


def test_a_table_that_grows_beyond_reason_is_refused(tmp_path: Path) -> None:
    lines = b"gene,v\n" + b"KLF1,0\n" * 10_000_000
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(lines, compresslevel=1))
    with pytest.raises(DataError, match="grows to more than"):
        read_gene_vectors(tmp_path / "a.csv.gz")
    pl.DataFrame({"gene": "KLF1", "v": pl.zeros(9_000_000, eager=True)}).write_parquet(
        tmp_path / "a.parquet"
    )
    with pytest.raises(DataError, match="more than the file can hold"):
        read_gene_vectors(tmp_path / "a.parquet")
