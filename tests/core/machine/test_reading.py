from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dygenept.errors import ConfigError, DataError, ResultsError, ShapeError
from dygenept.machine.reading import check_cells, check_claim, read_arrays, read_parquet, reading
from dygenept.machine.stopping import Stopped


class Panic(BaseException):
    """Stands for what polars raises."""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Panic("index\nout of \x1b[31mbounds"), r"\(index out of \\x1b\[31mbounds\)"),
        (MemoryError(), "more memory than there is"),
        (RecursionError("maximum"), "nested too deeply"),
        (KeyError("genes"), "lacks 'genes'"),
        (ValueError(), r"\(ValueError\)"),
    ],
)
def test_whatever_a_library_raises_becomes_a_line_that_names_the_file(
    fault: BaseException, said: str
) -> None:
    with pytest.raises(DataError, match=rf"^a\.tsv cannot be read as a table .*{said}") as caught:
        with reading(Path("a.tsv"), "a table"):
            raise fault
    assert caught.value.__cause__ is fault
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "passed", [Stopped(15), KeyboardInterrupt(), SystemExit(3), ConfigError("a.tsv: better")]
)
def test_what_ends_the_process_or_says_it_better_passes_through(passed: BaseException) -> None:
    with pytest.raises(type(passed)) as caught, reading(Path("a.tsv"), "a table"):
        raise passed
    assert caught.value is passed


def test_a_check_that_names_no_file_gets_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^folder/a\.tsv: unknown key 'x'$"):
        with reading(Path("folder/a.tsv"), "a table"):
            raise ConfigError("unknown key 'x'")
    with pytest.raises(ResultsError, match=r"^a\.tsv: 2 rows, expected 3; fetch or copy it again$"):
        with reading(Path("a.tsv"), "a table", error=ResultsError):
            raise ShapeError("2 rows, expected 3")


def test_what_the_system_refuses_is_said_as_the_system_says_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent cannot be read: No such file or directory$"):
        with reading(tmp_path / "absent", "a table", error=ConfigError):
            (tmp_path / "absent").read_bytes()


def test_a_table_of_one_endless_line_is_refused() -> None:
    with pytest.raises(DataError, match=r"has a line of 300,001 cells, .*end its lines with line"):
        check_cells(b"0," * 300_000 + b"\r", ",", "a.csv")
    check_cells(b"gene," * 60_000 + b"\n", ",", "a.csv")


def test_a_claim_is_measured_by_the_size_of_the_file() -> None:
    check_claim(1 << 26, 10, "small.npz")
    check_claim(2048 * 1_000_000, 1_000_000, "zeros.npz")
    with pytest.raises(DataError, match=r"a\.npz claims 2,048,000,001 bytes, more than the file"):
        check_claim(2048 * 1_000_000 + 1, 1_000_000, "a.npz")


def test_a_table_whose_rows_lack_most_cells_is_refused(tmp_path: Path) -> None:
    whole = b"a,b,c\n" * 10
    for lines in (whole, b"# x" + b"," * 1000 + b"\n" + b"a,b\n" * 100_000, b"a,b\n" + whole):
        check_cells(lines, ",", "t.csv")
    ragged = b"a" + b"," * 50_000 + b"\n" + b"b\n" * 50_000
    (tmp_path / "t.csv").write_bytes(ragged)
    for content in (ragged, tmp_path / "t.csv"):
        with pytest.raises(DataError, match=r"t\.csv has 50,001 lines.* of 50,001 cells"):
            check_cells(content, ",", "t.csv")


def _npz(path: Path, header: str) -> Path:
    text = header.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("values.npy", member)
    return path


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1125899906842624,), }", "claims"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 3), }", "claims"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "may run code"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (", "cannot be read as an .npz file"),
    ],
)
def test_an_array_that_claims_what_is_not_there_is_refused_before_it_is_made(
    tmp_path: Path, header: str, said: str
) -> None:
    path = _npz(tmp_path / "a.npz", header)
    with pytest.raises(DataError, match=said) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)
    assert not isinstance(caught.value.__cause__, MemoryError)


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", names=np.array(["KLF1"]), zeros=np.zeros((100, 1000)))
    read = read_arrays(tmp_path / "a.npz")
    assert read["names"].tolist() == ["KLF1"]
    assert read["zeros"].shape == (100, 1000)


def test_a_table_is_read_as_it_was_written_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pl.DataFrame({"gene": ["KLF1", "TP53"], "value": [0.5, 0.25]})
    table.write_parquet(path)
    assert read_parquet(path).equals(table)
    written = io.BytesIO(path.read_bytes()[:-40])
    path.write_bytes(written.getvalue())
    with pytest.raises(DataError, match="cannot be read as a Parquet table"):
        read_parquet(path)
