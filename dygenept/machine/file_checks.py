"""Is a file what its name says? It is opened, and read as far as that takes, before it is trusted.

A server that answers 200 with a login page, an error in JSON, or half of a file is common; a
checksum of that, once recorded, would refuse the right file for good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath

from dygenept.errors import DataError
from dygenept.machine.archives import check_gzip, check_zip
from dygenept.machine.file_kinds import HEAD_BYTES, FileKind, kind_of, said_of

# Kinds whose end can be told from the file itself.
SELF_DELIMITING: frozenset[FileKind] = frozenset(
    {"gzip", "zip", "HDF5", "JSON", "safetensors", "parquet", "NumPy", "xz", "bzip2", "zstd"}
)
_TABLES = (".tsv", ".csv", ".tab", ".gmt")
_TEXTS = (*_TABLES, ".txt", ".obo", ".gaf", ".gaf2", ".md", ".yaml", ".yml", ".fasta", ".fa")
_GZIPPED = (".gz", ".bgz", ".tgz")
_KINDS: Mapping[str, tuple[FileKind, ...]] = {
    **dict.fromkeys((".h5ad", ".h5", ".hdf5", ".h5mu", ".loom"), ("HDF5",)),
    **dict.fromkeys((".json", ".jsonl", ".ipynb"), ("JSON",)),
    **dict.fromkeys((".zip", ".npz"), ("zip",)),
    **dict.fromkeys(_GZIPPED, ("gzip",)),
    # Torch writes zip archives since 1.6 and pickles before; nothing here unpickles them.
    **dict.fromkeys((".pt", ".pth", ".ckpt"), ("zip", "pickle")),
    **dict.fromkeys((".pkl", ".pickle"), ("pickle",)),
    # Tables may be gzipped, whatever their name.
    **dict.fromkeys(_TEXTS, ("text", "gzip")),
    ".safetensors": ("safetensors",),
    ".npy": ("NumPy",),
    ".parquet": ("parquet",),
    ".xz": ("xz",),
    ".bz2": ("bzip2",),
    ".zst": ("zstd",),
}
_NEVER: tuple[FileKind, ...] = ("empty", "web page", "git-lfs pointer")
_MARKUP = (".xml", ".html", ".htm", ".owl", ".rdf")
_ERROR_KEYS = frozenset(
    "error errors status statuscode status_code code message msg detail details reason title type "
    "path timestamp requestid request_id instance success documentation_url description".split()
)
_ERROR_WORDS = re.compile(
    r"access denied|forbidden|unauthori[sz]ed|not (be )?found|no such|rate limit|too many|"
    r"try again|\berror\b|unavailable|maintenance|expired|quota|permission|\blog ?in\b|not allowed|"
    r"^(null|none|undefined|false)$|bad request|bad gateway|timed? ?out|blocked|denied|invalid|"
    r"moved",
    re.IGNORECASE,
)
_FIRST_LINES: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    ".obo": ("format-version:", lambda line: line.startswith("format-version:")),
    ".gaf": ("!gaf-version:", lambda line: line.startswith("!") or line.count("\t") >= 14),
    ".gmt": ("a set, a description and genes", lambda line: line.count("\t") >= 2),
}


def check_content(path: Path, name: str, *, called: str, is_sent: bool = True) -> FileKind:
    """Open a file as what its name says.

    Args:
        path: The file, under whatever name it lies.
        name: The name that it is to have; its suffix says what it must be.
        called: What errors call it.
        is_sent: A server sent it, so that a line of text may be an error of the server.

    Returns:
        What it is.

    Raises:
        DataError: If it is something else, damaged, cut short, or the error of a server.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = kind_of(head)
    if head and not head.strip(b"\x00 \t\r\n"):
        raise DataError(f"{called} begins with nothing but zeros or white space")
    unpacked = PurePath(name).stem if PurePath(name.lower()).suffix in _GZIPPED else name
    if not is_sent and kind != "gzip":
        # What somebody puts there may be unpacked under the publisher's name.
        name = unpacked
    _check_kind(kind, name, called)
    try:
        if kind == "gzip":
            name, head = unpacked, check_gzip(path, called=called)
            _check_kind(kind_of(head[:HEAD_BYTES]), name, f"{called}, unpacked,", is_inner=True)
        else:
            _open(path, kind, name, called)
        if kind_of(head[:HEAD_BYTES]) == "text":
            _check_text(head, PurePath(name.lower()).suffix, called, is_sent=is_sent)
    except (DataError, OSError):
        raise
    # Readers of other projects raise whatever they meet; here it means that they cannot read it.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{called} is damaged or cut short: {reason}") from error
    # Nothing tells that lines are missing.
    return "text" if name.lower().endswith(".jsonl") and kind == "JSON" else kind


def _check_kind(kind: FileKind, name: str, called: str, *, is_inner: bool = False) -> None:
    suffix = PurePath(name.lower()).suffix
    known = _KINDS.get(suffix)
    refused = ("empty", "git-lfs pointer") if suffix in _MARKUP else _NEVER
    if kind in refused or (is_inner and kind == "gzip") or (known and kind not in known):
        expected = f"; {name} must be {' or '.join(known)}" if known else ""
        raise DataError(f"{called} {said_of(kind, Path(name))}{expected}")


def _open(path: Path, kind: FileKind, name: str, called: str) -> None:
    match kind:
        case "HDF5":
            _check_hdf5(path, name, called)
        case "zip":
            check_zip(path, called=called)
        case "safetensors":
            from safetensors import safe_open

            with safe_open(path, "np") as tensors:
                tensors.keys()
        case "parquet":
            import polars as pl

            pl.read_parquet_schema(path)
        case "JSON" if name.lower().endswith(".jsonl"):
            for line in path.read_bytes().splitlines():
                json.loads(line)
        case "JSON":
            _check_json(json.loads(path.read_bytes()), called)
        case _:
            pass


def _check_hdf5(path: Path, name: str, called: str) -> None:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = set(file)
    except OSError as error:
        if error.errno is not None and error.filename is not None:
            raise
        raise DataError(f"{called} is a damaged HDF5 file, or cut short: {error}") from error
    if name.lower().endswith(".h5ad") and not (
        {"obs", "var"} <= found and found & {"X", "layers", "raw"}
    ):
        missing = ", ".join(sorted({"obs", "var", "X"} - found))
        raise DataError(f"{called} is an HDF5 file without {missing}, so it is not an AnnData file")


def _check_json(document: object, called: str) -> None:
    """Refuse the error of a server."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict) or not document:
        return
    keys = {str(key).lower() for key in document}
    if keys <= _ERROR_KEYS and keys & {"error", "errors", "message", "msg", "detail", "status"}:
        said = " ".join(json.dumps(document).split())[:120]
        raise DataError(f"{called} is a server's error in JSON, and not data: {said}")


def _check_text(head: bytes, suffix: str, called: str, *, is_sent: bool) -> None:
    lines = [line for line in head.decode("utf-8", errors="replace").splitlines() if line.strip()]
    first = lines[0] if lines else ""
    if suffix in _FIRST_LINES and not _FIRST_LINES[suffix][1](first):
        expected = _FIRST_LINES[suffix][0]
        raise DataError(f"{called} begins with {first[:80]!r}, and a {suffix} file with {expected}")
    has_cells = re.search(r"[\t,;|]" if suffix == ".csv" else r"\t", first)
    is_lone = suffix in _TABLES and len(lines) < 2 and not has_cells
    if is_sent and (is_lone or is_error_line(lines)):
        raise DataError(f"{called} is a line of text, and not data: {first[:120]!r}")


def is_error_line(lines: Sequence[str]) -> bool:
    """True if all that a file says is a server's excuse, in a few words without tabs."""
    first = lines[0] if lines else ""
    is_short = len(lines) <= 5 and sum(map(len, lines)) < HEAD_BYTES
    is_table = "\t" in first or (len(lines) > 1 and "," in first)
    return is_short and not is_table and _ERROR_WORDS.search(first) is not None
