"""HDF5 files on a disk that takes no more: the system's error, and no crash at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from dygenept.machine.hdf5_files import write_h5ad, written_hdf5
from dygenept.testing import ToyShape, write_toy_h5ad

# Each limit in a process of its own, which ends as processes end: HDF5 writes what it has left.
ON_A_FULL_DISK = """
import ctypes, json, os, resource, sys
from pathlib import Path
import anndata
from dygenept.machine.hdf5_files import write_h5ad
from dygenept.machine.whole_files import replaced_whole

adata, folder = anndata.read_h5ad(sys.argv[1]), Path(sys.argv[2])
folder.mkdir()
found = []
for limit in map(int, sys.argv[3:]):
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            with replaced_whole(folder / "cells.h5ad") as temporary:
                write_h5ad(adata, temporary)
            said = "written"
        except OSError as error:
            said = str(error)
        os.write(send, said.encode())
        ctypes.CDLL(None).exit(0)
    os.close(send)
    said = os.read(receive, 4096).decode()
    found.append([said, os.waitpid(pid, 0)[1], sorted(os.listdir(folder))])
print(json.dumps(found))
"""


def test_a_file_is_what_anndata_writes(tmp_path: Path) -> None:
    adata = anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad"))
    adata.obs["note"] = "text"
    adata.raw = adata
    write_h5ad(adata, tmp_path / "ours.h5ad")
    adata.write_h5ad(tmp_path / "theirs.h5ad")
    parts: list[list[object]] = []
    for name in ("ours", "theirs"):
        own: list[object] = []
        with h5py.File(tmp_path / f"{name}.h5ad") as file:
            own.append(dict(file.attrs))

            def visit(path: str, item: object, own: list[object] = own) -> None:
                assert isinstance(item, h5py.Group | h5py.Dataset)
                attributes = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
                values = item[()] if isinstance(item, h5py.Dataset) else None
                own.append((path, attributes, np.asarray(values).tolist()))

            file.visititems(visit)
        parts.append(own)
    assert parts[0] == parts[1]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of files and forks")
def test_a_full_disk_is_said_and_nothing_crashes(tmp_path: Path) -> None:
    shape = ToyShape(n_genes=20, n_cells=3, n_controls=8, n_singles=4, n_doubles=1)
    toy = write_toy_h5ad(tmp_path / "toy.h5ad", shape)
    size = toy.stat().st_size
    limits = [0, size // 4, size // 2, 2 * size]
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(toy), str(tmp_path / "out"), *map(str, limits)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *full, enough = json.loads(done.stdout)
    for said, status, left in full:
        assert said.startswith("[Errno 27] File too large: ")
        assert said.endswith("cells.h5ad'")
        assert (status, left) == (0, [])
    assert enough == ["written", 0, ["cells.h5ad"]]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of files")
def test_a_long_file_can_ask_what_the_disk_said(tmp_path: Path) -> None:
    import resource

    written = []

    def write() -> None:
        with written_hdf5(tmp_path / "long.h5") as (file, check):
            for number in range(100):
                file[str(number)] = np.ones(1 << 14)
                check()
                written.append(number)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(written) < 10
