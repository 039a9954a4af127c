from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from dygenept.data.reading import look_over as module
from dygenept.data.reading.look_over import look_over
from dygenept.errors import DataError
from dygenept.testing import write_toy_h5ad


def _external_link(file: h5py.File) -> None:
    file["obs/extra"] = h5py.ExternalLink("secret.h5", "/X")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("obs/extra", shape=(4,), dtype="u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("secret.h5", "X", shape=(4,))
    file.create_virtual_dataset("obs/extra", layout)


@pytest.mark.parametrize("damage", [_external_link, _external_storage, _virtual])
def test_a_file_that_refers_to_another_is_refused(
    tmp_path: Path, damage: Callable[[h5py.File], None]
) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(DataError, match=r"toy\.h5ad: /obs/extra refers to .*outside of it"):
        look_over(path)


def test_links_inside_a_file_and_circles_of_them_are_no_fault(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        file["obs/again"] = file["obs"]
        file["soft"] = h5py.SoftLink("/X")
    look_over(path)


@pytest.mark.skipif(sys.platform != "linux", reason="a child looks the file over on Linux")
@pytest.mark.parametrize(
    ("body", "said"), [("while True: pass", "never ends on it"), ("os.abort()", "crashes on it")]
)
def test_a_library_that_loops_or_crashes_ends_the_child_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    def findings(path: Path) -> str:
        exec(body, {"os": module.os})
        return ""

    path = tmp_path / "a.h5ad"
    path.touch()
    monkeypatch.setattr(module, "_findings", findings)
    with pytest.raises(DataError, match=f"a.h5ad is damaged .*{said}"):
        look_over(path)


def test_a_broken_attribute_or_array_is_left_to_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=np.zeros(100), compression="gzip")
        chunk = file["X"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    look_over(path)


def test_a_file_is_looked_over_again_once_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    look_over(path)
    monkeypatch.setattr(module.os, "fork", None)
    look_over(path)
    monkeypatch.undo()
    with h5py.File(path, "r+") as file:
        _external_link(file)
    with pytest.raises(DataError, match="outside of it"):
        look_over(path)
