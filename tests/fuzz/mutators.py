"""Damages files: bytes of any of them, and the structure of those whose format is known."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Mutate = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

LENGTHS = (0, 1, -1, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 50, (1 << 63) - 1, 1 << 63)
TEXTS = (
    *("", "nan", "NaN", "inf", "-1", "1e999", "0x10", "1_000", "null", "True", "\x00", "\ufeff"),
    *("\ud800", "é" * 40, "a" * 5000, "=1+1", "\x1b[31m", "../../etc/passwd", "ctrl", "KLF1+", "+"),
    *(
        "ENSG00000105610",
        "9" * 5000,
        "-0.0",
        "1" + "0" * 30,
        "\u2028",
        "KLF1\r\n",
        '"',
        "\\",
        "${a}",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1 << 31, 1 << 63, 1 << 70, 10**400, 0.5, -1.5, 1e308),
    *(float("nan"), float("inf"), [], {}, [[]], {"a": []}, [None], "text", [1, 2], [[1], [2, 3]]),
)


class Touch:
    """What an unpickler that runs code would call: it leaves a file that the harness looks for."""

    def __init__(self, sentinel: Path) -> None:
        self._sentinel = sentinel

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self._sentinel),)


def mutate_bytes(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Flip, cut, splice, swap and overwrite bytes anywhere."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        size = len(data)
        at = rng.randrange(size + 1)
        n = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(9):
            case 0 if size:
                data[at % size] ^= 1 << rng.randrange(8)
            case 1 if size:
                data[at % size] = rng.randrange(256)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + n]
            case 4:
                data[at:at] = data[rng.randrange(size + 1) :][:n]
            case 5:
                other = rng.choice(others) if others else content
                start = rng.randrange(len(other) + 1)
                data[at : at + n] = other[start : start + n]
            case 6:
                length = rng.choice(LENGTHS) & ((1 << 64) - 1)
                width = rng.choice((1, 2, 4, 8))
                data[at : at + width] = (length & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            case 7:
                data[at : at + n] = bytes([rng.choice((0, 255, 10, 34))]) * n
            case 8:
                data[at:at] = rng.randbytes(n)
    return bytes(data)


def mutate_text(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage lines and cells of a table or a list."""
    if rng.random() < 0.3:
        return mutate_bytes(content, rng, others)
    text = content.decode("utf-8", "replace")
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.randrange(len(lines))
        mark = next((mark for mark in ("\t", ",", " ", ":") if mark in lines[row]), "\t")
        cells = lines[row].split(mark)
        place = rng.randrange(len(cells))
        match rng.randrange(12):
            case 0 | 1 | 2:
                cells[place] = rng.choice(TEXTS)
                lines[row] = mark.join(cells)
            case 3:
                del cells[place]
                lines[row] = mark.join(cells)
            case 4:
                cells.insert(place, rng.choice(TEXTS))
                lines[row] = mark.join(cells)
            case 5:
                lines.insert(row, lines[rng.randrange(len(lines))])
            case 6:
                del lines[row:]
                lines.append("")
            case 7:
                lines[row] = rng.choice(('"' + lines[row], lines[row] + '"', lines[row].upper()))
            case 8:
                lines = ["\r".join(lines)]
            case 9:
                lines[row] = mark.join([*cells, *cells * rng.choice((1, 5, 50))])
            case 10:
                lines = [line.replace(mark, rng.choice((";", "\t", ",", "  "))) for line in lines]
            case 11:
                lines[row] = rng.choice(("", "#", "!", "\x00" * 9, "[Term]", "{", "["))
    changed = "\n".join(lines)
    encoding = rng.choice(("utf-8",) * 8 + ("utf-16", "latin-1", "utf-8-sig"))
    return changed.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Replace, drop, repeat or retype one part of a JSON document."""
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    match rng.randrange(8):
        case 0 | 1 | 2:
            holder[key] = rng.choice((*VALUES, *TEXTS[:12]))
        case 3:
            del holder[key]
        case 4:
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"x": holder[key]}
        case 5:
            holder[key] = str(holder[key])
        case 6 if isinstance(holder, dict):
            holder[rng.choice((*TEXTS, key.upper(), key + "s"))] = holder.pop(key)
        case 7 if isinstance(holder, list):
            holder.append(rng.choice((holder[key], *VALUES)))
        case _:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
    return value


def mutate_json(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a JSON document, or one line of JSON lines."""
    dice = rng.random()
    if dice < 0.25:
        return mutate_bytes(content, rng, others)
    if dice < 0.28:
        deep = rng.choice((100, 3000, 200_000))
        return rng.choice((b"[" * deep, b'{"a":' * deep, b"[" * deep + b"]" * deep))
    lines = content.split(b"\n")
    is_lines = len(lines) > 1 and lines[0][:1] == b"{" and lines[0][-1:] == b"}"
    row = rng.randrange(max(len(lines) - 1, 1)) if is_lines else 0
    try:
        document = json.loads(lines[row] if is_lines else content)
        for _ in range(rng.choice((1, 1, 2, 4))):
            document = mutate_value(document, rng)
        changed = json.dumps(document).encode()
    except ValueError:
        return mutate_bytes(content, rng, others)
    if rng.random() < 0.05:
        # A key that occurs twice.
        changed = changed.replace(b"{", b'{"format": 0, "genes": [],', 1)
    return b"\n".join([*lines[:row], changed, *lines[row + 1 :]]) if is_lines else changed


def mutate_yaml(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage a YAML document; some ask for code, for other values or for too much."""
    dice = rng.random()
    if dice < 0.5:
        return mutate_text(content, rng, others)
    if dice < 0.8:
        import yaml

        try:
            document = yaml.safe_load(content)
            return yaml.safe_dump(mutate_value(document, rng), allow_unicode=False).encode()
        # Seeds were damaged before; what is no YAML any more is damaged as bytes.
        except Exception:  # noqa: BLE001
            return mutate_bytes(content, rng, others)
    deep = rng.choice((40, 60, 3000))
    extra = rng.choice(
        (
            b"\na: !!python/object/apply:os.mkdir [SENTINEL]",
            b"\na: !!python/name:os.system",
            b"\na: !!binary aGFsbG8=\nb: !!timestamp 2001-12-14",
            b"\na: &a [*a]",
            b"\na: &a {b: *a}",
            b"\na: " + b"[" * deep + b"]" * deep,
            b"\na: " + b"{b: " * deep + b"}" * deep,
            b"\na: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]"
            b"\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]",
            b"\na: ${oc.env:HOME}",
            b"\na: ${b}\nb: ${a}",
            b"\n? [1, 2]\n: 3",
            b"\n<<: {a: 1}\n<<: [1]",
            b"\na: 0o777777777777777777777777777777",
            b"\na: 1:60:60:60",
            b"\n--- \na: 1",
            b"\n%YAML 9.9\n---\na: 1",
        )
    )
    return content + extra


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


SENTINEL = Path("/nonexistent/sentinel")

MUTATORS: dict[str, Mutate] = {
    ".h5ad": mutate_h5ad,
    ".json": mutate_json,
    ".jsonl": mutate_json,
    ".yaml": mutate_yaml,
    ".npz": mutate_zip,
    ".zip": mutate_zip,
    ".pt": mutate_zip,
    ".gz": mutate_gzip,
    ".safetensors": mutate_safetensors,
    ".parquet": mutate_parquet,
    ".pickle": mutate_pickle,
}


def mutated(name: str, content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return a damaged version of a file; its suffix tells how it can be damaged."""
    suffix = Path(name).suffix
    return MUTATORS.get(suffix, mutate_text)(content, rng, others)


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        for key in _keys(item):
            found.append((item, key))
            stack.append(item[key])
    return found


def _keys(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item)
    return list(range(len(item))) if isinstance(item, list) else []
