from __future__ import annotations

from pathlib import Path

import pytest

from dygenept.errors import ResultsError
from dygenept.machine import places
from dygenept.machine.places import check_can_write, check_can_write_file, is_stdout, is_streamed


def test_what_is_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    stdout = [Path("-"), Path("/dev/stdout"), Path("/dev/fd/1"), tmp_path / "link"]
    assert all(map(is_stdout, stdout))
    assert all(map(is_streamed, [*stdout, Path("/dev/null"), Path("/dev/fd/7")]))
    (tmp_path / "file").touch()
    assert not any(map(is_streamed, (tmp_path, tmp_path / "file", tmp_path / "new", Path("1"))))


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "a" / "b", Path("/dev/null"), Path("-")):
        check_can_write_file(path)
    check_can_write(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(ResultsError, match="is a folder; name a file in it"):
        check_can_write_file(tmp_path)
    with pytest.raises(ResultsError, match=r"file is a file; name another file"):
        check_can_write_file(tmp_path / "file" / "x.csv")
    with pytest.raises(ResultsError, match=r"file is a file; name another folder"):
        check_can_write(tmp_path / "file")
    # Root may write anywhere but on a file system that is mounted to be read.
    monkeypatch.setattr(places.os, "access", lambda path, mode: False)
    with pytest.raises(ResultsError, match="is not writable; name another file"):
        check_can_write_file(tmp_path / "x.csv")
    with pytest.raises(ResultsError, match="is not writable; name another file"):
        check_can_write_file(tmp_path / "file")
    with pytest.raises(ResultsError, match="is not writable; name another folder"):
        check_can_write(tmp_path)
