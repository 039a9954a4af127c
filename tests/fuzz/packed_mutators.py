"""Damages arrays, tensors, pickles and packed files inside, with checksums that fit."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fuzz.text_mutators import TEXTS, mutate_bytes, mutate_text, mutate_value

# What code in a file would make, if it ran; the harness names a place that it looks at.
SENTINEL = Path("/nonexistent/sentinel")


class Touch:
    """What an unpickler that runs code would call: it leaves a file that the harness looks for."""

    def __init__(self, sentinel: Path) -> None:
        self._sentinel = sentinel

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self._sentinel),)


def mutate_gzip(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a gzipped text, inside or outside; or make it a bomb."""
    dice = rng.random()
    if dice < 0.4:
        return mutate_bytes(content, rng, others)
    text = gzip.decompress(content)
    if dice < 0.43:
        text += b"\n".join([text.splitlines()[-1]] * 200_000)
    return gzip.compress(mutate_text(text, rng, ()), compresslevel=1, mtime=0)


def mutate_zip(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage an archive outside, or its members with checksums that fit."""
    if rng.random() < 0.4:
        return mutate_bytes(content, rng, others)
    members: list[tuple[str, bytes]] = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    place = rng.randrange(len(members))
    name, member = members[place]
    match rng.randrange(9):
        case 0:
            del members[place]
        case 1:
            members.append((name, member))
        case 2:
            members[place] = (
                rng.choice(("../" + name, "/" + name, "x/" + name, name * 50)),
                member,
            )
        case 3:
            members[place] = (name, rng.choice(members)[1])
        case 4:
            members[place] = (name, bytes(rng.choice((0, 1 << 20))))
        case _:
            members[place] = (name, _mutate_member(name, member, rng, others))
    packed = io.BytesIO()
    method = rng.choice(
        (zipfile.ZIP_DEFLATED,) * 4 + (zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    )
    with zipfile.ZipFile(packed, "w", method) as archive:
        for number, (member_name, data) in enumerate(members):
            info = zipfile.ZipInfo(member_name)
            info.compress_type = method
            if number == place and rng.random() < 0.05:
                info.external_attr = 0o120777 << 16  # a symbolic link
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(info, data)
    whole = bytearray(packed.getvalue())
    if rng.random() < 0.05:
        # The mark of an encrypted member, in both of its headers.
        whole[6] |= 1
        start = whole.find(b"PK\x01\x02")
        whole[start + 8] |= 1
    return bytes(whole)


def _mutate_member(name: str, member: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    if name.endswith(".pkl"):
        return mutate_pickle(member, rng, others)
    if member.startswith(b"\x93NUMPY"):
        return _mutate_array(member, rng, others)
    return mutate_bytes(member, rng, others)


def _mutate_array(member: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change an array's header or its values."""
    import numpy as np

    if rng.random() < 0.3:
        return mutate_bytes(member, rng, others)
    start = 10 + struct.unpack("<H", member[8:10])[0]
    array = np.load(io.BytesIO(member))
    if rng.random() < 0.5:
        shapes = ("()", "(0,)", "(-1,)", "(1125899906842624,)", "(10000000000, 30)", "(2, 3, 4)", "(1,)",
                  "(3, 2)", "(True,)", "None", "(4611686018427387904, 4)", "('a',)", str(array.shape))  # fmt: skip
        types = ("<f4", "<f8", "<i8", "<U5", "|O", "|S4", "|b1", "<c16", "<M8[ns]", "|V8", ">f4", "<U536870911",
                 "[('a', '<f4')]", "nonsense", array.dtype.str)  # fmt: skip
        header = f"{{'descr': {rng.choice(types)!r}, 'fortran_order': False, 'shape': {rng.choice(shapes)}, }}"
        if rng.random() < 0.1:
            header = "(" * 300 + header
        text = header.encode() + b"\n"
        return member[:8] + struct.pack("<H", len(text)) + text + member[start:]
    written = io.BytesIO()
    np.save(written, mutate_array(array, rng), allow_pickle=True)
    return written.getvalue()


def mutate_array(array: Any, rng: random.Random) -> Any:
    """Change type, shape, length or values of an array."""
    import numpy as np

    flat = array.reshape(-1)
    match rng.randrange(10):
        case 0:
            return array[: rng.randrange(len(array) + 1)] if array.ndim else array[None]
        case 1:
            return np.concatenate([array, array[:1]]) if array.ndim else array
        case 2:
            return array.T
        case 3:
            return array[None]
        case 4:
            return flat
        case 5:
            return (
                array.astype(rng.choice(("U8", "S8", "O", "f8", "i4", "?")))
                if array.dtype.kind not in "US"
                else np.arange(len(flat))
            )
        case 6 if array.dtype.kind == "f" and array.size:
            changed = array.copy()
            changed.flat[rng.randrange(array.size)] = rng.choice(
                (np.nan, np.inf, -np.inf, 1e30, -1)
            )
            return changed
        case 7 if array.dtype.kind in "iu" and array.size:
            changed = array.copy()
            limit = np.iinfo(array.dtype)
            changed.flat[rng.randrange(array.size)] = rng.choice((limit.min, limit.max, 0, 7))
            return changed
        case 8 if array.dtype.kind == "U" and array.size:
            changed = array.astype(object)
            changed.flat[rng.randrange(array.size)] = rng.choice(TEXTS[:12])
            return changed.astype(str)
        case _:
            return (
                np.float32(3.0)
                if rng.random() < 0.3
                else np.zeros((0, *array.shape[1:]), array.dtype)
            )


def mutate_pickle(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a pickle, or put one in its place that would run code."""
    dice = rng.random()
    if dice < 0.75:
        return mutate_bytes(content, rng, others)
    payload = pickle.dumps({"KLF1": Touch(SENTINEL)}, protocol=rng.randrange(6))
    if dice < 0.85:
        return payload
    if dice < 0.9:
        at = rng.randrange(len(content))
        return content[:at] + payload
    return rng.choice(
        (
            b"\x80\x04r\xff\xff\xff\xff.",
            b"\x80\x04]r\xff\xff\xff\x7f.",
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f.",
            b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x0f.",
            b"\x80\x04\x8b\xff\xff\xff\x7f.",
            b"(" * 100_000 + b".",
            b"]" * 50_000 + b"a" * 49_999 + b".",
            b"cos\nmkdir\n(V" + str(SENTINEL).encode() + b"\ntR.",
            b"c__builtin__\nexec\n(Vimport os; os.mkdir('" + str(SENTINEL).encode() + b"')\ntR.",
            b"cnumpy\ndtype\n(VO\nI0\nI1\ntR.",
        )
    )


def mutate_safetensors(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage the header of tensors in a way that stays readable, or anything."""
    if rng.random() < 0.35:
        return mutate_bytes(content, rng, others)
    n = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + n]), content[8 + n :]
    names = [name for name in header if name != "__metadata__"]
    metadata = header.get("__metadata__", {})
    dice = rng.random()
    if metadata and dice < 0.5:
        key = rng.choice(list(metadata))
        try:
            document = json.loads(metadata[key])
            metadata[key] = json.dumps(mutate_value(document, rng))
        except ValueError:
            metadata[key] = rng.choice(TEXTS)
        if rng.random() < 0.1:
            metadata[key] = "[" * 100_000
        if rng.random() < 0.1:
            del metadata[key]
    elif names:
        name = rng.choice(names)
        entry = header[name]
        match rng.randrange(6):
            case 0:
                header[
                    rng.choice(
                        (*TEXTS, "member.x.y", "member.99.weight", name + ".", "optimizer.a.b")
                    )
                ] = header.pop(name)
            case 1:
                del header[name]
                if not rng.randrange(3):
                    body = b""
                return _with_whole_tensors(header, body)
            case 2:
                entry["shape"] = [*entry["shape"][::-1]]
            case 3:
                entry["shape"] = [1, *entry["shape"]]
            case 4:
                same = {
                    "F32": ("I32", "U32"),
                    "I64": ("F64", "U64"),
                    "I32": ("F32",),
                    "U8": ("I8", "BOOL"),
                }
                entry["dtype"] = rng.choice(same.get(entry["dtype"], ("F16", "BF16", "F8_E4M3")))
            case 5:
                other = rng.choice(names)
                header[name], header[other] = header[other], header[name]
    else:
        return mutate_bytes(content, rng, others)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def _with_whole_tensors(header: dict[str, Any], body: bytes) -> bytes:
    """Lay out the tensors that are left without a gap, which readers refuse."""
    packed, at = b"", 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        packed += body[start:end]
        entry["data_offsets"] = [at, at + end - start]
        at += end - start
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + packed


def mutate_parquet(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a Parquet file, or write another table of its columns."""
    if rng.random() < 0.5:
        return mutate_bytes(content, rng, others)
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    place = rng.randrange(table.num_columns)
    name = table.column_names[place]
    column = table.column(place).to_pylist()
    match rng.randrange(8):
        case 0:
            table = table.drop([name])
        case 1:
            column[rng.randrange(len(column))] = None
            table = table.set_column(place, name, [column])
        case 2:
            table = table.set_column(place, name, pa.array([str(item) for item in column]))
        case 3:
            numbers = np.arange(len(column), dtype=rng.choice(("f8", "i1", "u8", "f4")))
            numbers[0] = rng.choice((np.nan, np.inf, 1)) if numbers.dtype.kind == "f" else 1
            table = table.set_column(place, name, pa.array(numbers))
        case 4:
            table = table.slice(0, rng.randrange(table.num_rows + 1))
        case 5:
            odd: Any = rng.choice(
                (
                    [[1.0]] * len(column),
                    [{"a": 1}] * len(column),
                    [b"\xff\xfe"] * len(column),
                    [True] * len(column),
                )
            )
            table = table.set_column(place, name, pa.array(odd))
        case 6:
            names = list(table.column_names)
            names[place] = rng.choice((*(text for text in TEXTS if text.isprintable()), names[0]))
            table = table.rename_columns(names)
        case 7:
            table = pa.concat_tables([table, table.slice(0, 1)])
    written = io.BytesIO()
    parquet.write_table(table, written)
    return written.getvalue()
