"""What a file is, judged by its first bytes and not by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

FileKind = Literal[
    "empty",
    "web page",
    "JSON",
    "git-lfs pointer",
    "gzip",
    "zip",
    "bzip2",
    "xz",
    "zstd",
    "tar",
    "HDF5",
    "parquet",
    "NumPy",
    "safetensors",
    "pickle",
    "text",
    "unknown",
]
# Enough for the mark of a tar archive, and for a page that begins with comments.
HEAD_BYTES = 1024
_LFS_POINTER = b"version https://git-lfs.github.com/"
_MAGIC: tuple[tuple[bytes, FileKind], ...] = (
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PAR1", "parquet"),
    (b"\x93NUMPY", "NumPy"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (_LFS_POINTER, "git-lfs pointer"),
)
_PAGE = re.compile(
    rb"(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype|html|head|body|script|\w+)", re.S
)
_JSON = re.compile(rb'\{\s*(?:"|\}|$)|\[\s*(?:[\[{"\]\d-]|true|false|null|$)')
_PICKLE = re.compile(rb"\x80[\x02-\x05]")

# What mends a file that is not what its name says.
_MENDS: Mapping[FileKind, str] = MappingProxyType(
    {
        "empty": "is empty; fetch or copy it again",
        "web page": "is a web page (HTML or XML), such as a server's error or login page, and not "
        "data; fetch the file itself",
        "JSON": "is JSON text, such as a server's error message; fetch the file itself",
        "git-lfs pointer": "is a git-lfs pointer that stands for the file; get the file itself: "
        "git lfs pull",
        "gzip": "is compressed with gzip; unpack it: gunzip -c {path} > FILE",
        "bzip2": "is compressed with bzip2; unpack it: bunzip2 -c {path} > FILE",
        "xz": "is compressed with xz; unpack it: unxz -c {path} > FILE",
        "zstd": "is compressed with zstd; unpack it: unzstd -c {path} > FILE",
        "zip": "is a zip archive; unpack it: unzip {path}",
        "tar": "is a tar archive; unpack it: tar -xf {path}",
        "HDF5": "is an HDF5 file, such as .h5ad",
        "parquet": "is a Parquet table",
        "NumPy": "is a single NumPy array (.npy)",
        "safetensors": "is a safetensors file",
        "pickle": "is a Python pickle, which may run code when it is opened and is never read",
        "text": "is plain text",
        "unknown": "begins with bytes of no known format, or its beginning is damaged",
    }
)


def kind_of(head: bytes) -> FileKind:
    """Tell what a file is from its first ``HEAD_BYTES`` bytes (all of them, if it has fewer).

    A zip archive is also what ``.npz`` files and torch checkpoints are. ``text`` is any other
    UTF-8 text without control characters; whether it is a table is for its reader to find.
    """
    if not head:
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 40:
        return "safetensors"
    if _PICKLE.match(head):
        return "pickle"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _PAGE.match(start.lower()):
        return "web page"
    if _JSON.match(start):
        return "JSON"
    return "text" if _is_text(head) else "unknown"


def file_kind(path: Path) -> FileKind:
    """Tell what a file is from its first bytes.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return kind_of(file.read(HEAD_BYTES))


def said_of(kind: FileKind, path: Path) -> str:
    """Say what a file is and what to do about it, such as ``is …; unpack it: gunzip f.gz``."""
    return _MENDS[kind].format(path=path)


def _is_text(head: bytes) -> bool:
    # The last character may be cut.
    text = head.decode("utf-8", errors="ignore")
    is_whole = len(head) - len(text.encode()) < 4
    return is_whole and not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text)
