"""What a preparation refuses, and what it never overwrites or leaves half written."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_screen import MAPPING, counts_of, prepared, write

from dygenept.data.prepare import pipeline, row_blocks
from dygenept.data.prepare.options import PrepareOptions, known_modality
from dygenept.data.prepare.pipeline import prepare_file
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.errors import ConfigError, DataError, ResultsError


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    return write(tmp_path / "screen.h5ad", *counts_of())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalize": False}, "looks like raw counts.*pass --normalize"),
        ({"normalize": False, "min_counts": 5.0, "max_mito": 0.2}, "and --max-mito need counts"),
        ({"batches": "controls"}, "--batch-column"),
        ({"min_counts": 1e9}, "no perturbed cell"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    screen: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        prepared(screen, **options)
    assert [path.name for path in screen.parent.iterdir()] == ["screen.h5ad"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.nan,
            "screen.h5ad: X contains NaN or infinite values, 1 in all, the first in row 3, co",
        ),
        (
            np.inf,
            "screen.h5ad: X contains NaN or infinite values, 1 in all, the first in row 3, co",
        ),
        (-1.0, "screen.h5ad: X contains negative values, 1 in all, the first in row 3, column 4"),
        (None, "screen.h5ad: X contains only zeros"),
    ],
)
def test_values_that_no_expression_has_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float | None, message: str
) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK", 300)
    counts, labels = counts_of()
    if value is None:
        counts[:] = 0
    else:
        counts[3, 4] = value
    screen = write(tmp_path / "screen.h5ad", counts, labels)
    with pytest.raises(DataError, match=message):
        prepared(screen)
    assert [path.name for path in tmp_path.iterdir()] == ["screen.h5ad"]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda x: np.log2(1 + x / x.sum(axis=1, keepdims=True) * 1e4), r"log2\(1 \+ x\)"),
        (lambda x: np.log1p(x) / np.log1p(x).std(axis=0, ddof=1), "standard deviation of 1"),
    ],
)
def test_scales_that_the_reader_refuses_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transform, message: str
) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK", 300)
    counts, labels = counts_of(n=400)
    counts += np.random.default_rng(1).poisson(0.2, counts.shape)
    path = write(tmp_path / "screen.h5ad", transform(counts).astype(np.float32), labels)
    with pytest.raises(DataError, match=message):
        read_anndata(path, mapping=MAPPING)
    with pytest.raises(DataError, match=message):
        prepared(path, normalize=False)


@pytest.mark.parametrize("spelling", ["itself", "dots", "symbolic", "hard"])
def test_the_original_is_never_the_output(screen: Path, spelling: str) -> None:
    before, output = screen.read_bytes(), screen.with_name("other.h5ad")
    if spelling == "itself":
        output = screen
    elif spelling == "dots":
        output = screen.parent / "absent" / ".." / screen.name
    elif spelling == "symbolic":
        output.symlink_to(screen.name)
    else:
        output.hardlink_to(screen)
    with pytest.raises(ConfigError, match="stays as it is"):
        prepare_file(screen, output, PrepareOptions(mapping=MAPPING, normalize=True))
    assert screen.read_bytes() == before


def test_a_disk_that_takes_no_more_is_said_of_the_ready_file(
    screen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "ready.h5ad")

    monkeypatch.setattr(pipeline, "write_ready", full)
    with pytest.raises(ResultsError, match=r"cannot write .*ready.h5ad: No space left"):
        prepared(screen)
    usage = shutil.disk_usage(screen.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResultsError, match=r"ready.h5ad: it takes about 0\.\d MB, and 0\.0 MB"):
        prepared(screen)


def test_what_an_earlier_try_left_half_written_is_removed(screen: Path) -> None:
    # No process has a number this large.
    left = screen.with_name(".ready.h5ad.12ab34cd-99999999.partial")
    left.write_bytes(b"half")
    assert prepared(screen).path.stat().st_size < 100_000
    assert not left.exists()


def test_a_modality_is_known_however_it_is_written_and_refused_where_it_says_nothing() -> None:
    spellings = ("crispra", "CRISPR-A", "CRISPRko", "Crispr knock-out", "RNAi")
    assert [known_modality(text) for text in spellings] == [
        *("CRISPRa", "CRISPRa", "CRISPR knock-out", "CRISPR knock-out", "RNAi")
    ]
    assert known_modality("drug") is None
    with pytest.raises(ConfigError, match=r"'drug' does not say which way.*known: CRISPRi"):
        PrepareOptions(modality="drug")


def test_a_filter_that_cannot_leave_anything_out_says_so(screen: Path, tmp_path: Path) -> None:
    counts, labels = counts_of()
    folder = tmp_path / "without"
    folder.mkdir()
    path = write(folder / "screen.h5ad", counts, labels)
    with h5py.File(path, "r+") as file:
        index = file["var"][file["var"].attrs["_index"]]
        names = index.asstr()[:]
        index[-2:] = [names[-2].replace("MT-", "MT"), names[-1].replace("MT-", "MT")]
    for file_of, says in ((screen, False), (path, True)):
        notes = prepared(file_of, max_mito=1.0).manifest["notes"]
        assert isinstance(notes, list)
        assert any("begins with MT-" in line for line in notes) == says
