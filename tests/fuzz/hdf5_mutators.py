"""Damages HDF5 files part by part."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from typing import Any

from fuzz.packed_mutators import mutate_array
from fuzz.text_mutators import TEXTS, mutate_bytes


def mutate_h5ad(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage the bytes of an HDF5 file, or replace one of its parts by another."""
    if rng.random() < 0.45:
        return mutate_bytes(content, rng, others)
    import h5py

    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        for _ in range(rng.choice((1, 1, 1, 2))):
            paths: list[str] = []
            file.visit(paths.append)
            if paths:
                _mutate_part(file, rng.choice(paths), rng)
    return buffer.getvalue()


def _mutate_part(file: Any, path: str, rng: random.Random) -> None:
    import h5py
    import numpy as np

    item = file[path]
    attributes = dict(item.attrs)
    dice = rng.randrange(16)
    if dice < 3 and attributes:
        name = rng.choice(list(attributes))
        del item.attrs[name]
        if rng.random() < 0.8:
            item.attrs[name] = rng.choice(
                ("csr_matrix", "dataframe", "nonsense", b"\xff\xfe", 3, np.arange(3), [10**9, 10**9], [-1, 2],
                 np.nan, ["a", "b"], h5py.Empty("f4"), "", "categories", "../X")
            )  # fmt: skip
        return
    if dice == 3:
        del file[path]
        return
    if isinstance(item, h5py.Group):
        del file[path]
        match rng.randrange(7):
            case 0:
                file[path] = np.arange(6)
            case 1:
                file.create_group(path)
            case 2:
                file[path] = h5py.SoftLink(rng.choice(("/X", "/", "/nowhere", f"/{path}")))
            case 3:
                file[path] = h5py.ExternalLink(rng.choice(("/etc/passwd", "../other.h5ad")), "/X")
            case 4:
                file[path] = h5py.Empty("f8")
            case 5:
                file[path] = "text"
            case 6:
                file[path] = np.zeros((4, 5), "f4")
        for name, value in attributes.items() if rng.random() < 0.5 else ():
            if not isinstance(value, h5py.Reference):
                file.require_group("keep")
                try:
                    file[path].attrs[name] = value
                except (KeyError, TypeError, OSError, ValueError):
                    return
        return
    try:
        array = np.asarray(item[()])
    except (OSError, TypeError):
        array = np.arange(3)
    is_text = array.dtype.kind == "O"
    options: dict[str, Any] = {}
    new: Any
    match rng.randrange(16):
        case 0 | 1 | 2:
            new = mutate_array(array.astype(str) if is_text else array, rng)
        case 3:
            new = np.arange(array.size, dtype=rng.choice(("i1", "u1", "i8", "f8", "f2"))).reshape(
                array.shape
            )
        case 4:
            new = np.array([b"\xff\xfe%d" % number for number in range(array.size)]).reshape(
                array.shape
            )
        case 5:
            new = h5py.Empty(rng.choice(("f4", "S10", "i8")))
        case 6:
            new = np.zeros(array.shape, dtype=[("a", "f4"), ("b", "i4")])
        case 7:
            new = np.array([item.ref] * max(array.size, 1), dtype=h5py.ref_dtype)
        case 8:
            new = array[::-1] if array.ndim else array
        case 9:
            new, options = (
                None,
                {
                    "shape": (rng.choice((1 << 40, 10**10, 1 << 62)),),
                    "dtype": "f4",
                    "chunks": (1024,),
                },
            )
        case 10:
            new, options = (
                None,
                {
                    "shape": (1 << 16, 1 << 16),
                    "dtype": "f8",
                    "chunks": (64, 64),
                    "compression": "gzip",
                },
            )
        case 11:
            new, options = (
                None,
                {
                    "shape": (len(array) if array.ndim else 3,),
                    "dtype": "f4",
                    "external": [("/etc/passwd", 0, 64)],
                },
            )
        case 12:
            new = np.full(array.shape, rng.choice((0, -1, 99, 1 << 40)))
        case 13:
            new = np.array(["same"] * array.size, dtype=object).reshape(array.shape)
        case 14:
            new = np.array(
                [rng.choice(TEXTS[:10]).replace("\x00", "") for _ in range(array.size)],
                dtype=object,
            ).reshape(array.shape)
        case _:
            layout = h5py.VirtualLayout(shape=(max(array.size, 1),), dtype="f4")
            layout[:] = h5py.VirtualSource("/tmp/other.h5", "X", shape=(max(array.size, 1),))
            del file[path]
            file.create_virtual_dataset(path, layout)
            return
    if isinstance(new, np.ndarray) and new.dtype.kind in "UO":
        new = new.astype(object)
        options = {"dtype": h5py.string_dtype()}
    elif isinstance(new, np.ndarray) and new.dtype == h5py.ref_dtype:
        options = {"dtype": h5py.ref_dtype}
    try:
        del file[path]
        file.create_dataset(path, data=new, **options)
        for name, value in attributes.items():
            file[path].attrs[name] = value
    # Not every combination can be written; the part is then missing.
    except (TypeError, ValueError, OSError, KeyError, UnicodeError):
        return
