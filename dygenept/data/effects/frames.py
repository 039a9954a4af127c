"""A table of text as it is on disk: csv or tsv, packed or not, or Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import DataError
from dygenept.machine.archives import BoundedGzip
from dygenept.machine.file_kinds import HEAD_BYTES, file_kind, kind_of, said_of
from dygenept.machine.reading import check_cells, read_parquet, reading

if TYPE_CHECKING:
    import polars as pl

WHAT = "a table of effects"
SEPARATORS = ("\t", ",", ";")
NAMES = (".csv", ".tsv", ".txt", ".parquet", ".csv.gz", ".tsv.gz", ".txt.gz")
# What pandas calls an index without a name.
PANDAS_INDEX = "__index_level_0__"


def is_table(path: Path) -> bool:
    """True of a file that is text or Parquet and not called ``.h5ad``, or called as a table is.

    What is called a table and is none, its reader refuses in words of tables.
    """
    if path.suffix == ".h5ad" or not path.is_file():
        return False
    kind = file_kind(path)
    if path.name.lower().endswith(NAMES) and kind != "HDF5":
        return True
    if kind != "gzip":
        return kind in ("text", "parquet")
    with reading(path, WHAT), BoundedGzip(path) as opened:
        return kind_of(opened.read(HEAD_BYTES)) == "text"


def read_frame(path: Path) -> pl.DataFrame:
    """Read a table with every cell as text; an empty cell is null.

    Raises:
        DataError: If it is damaged, is not a table, or has no row.
    """
    import polars as pl

    with reading(path, WHAT):
        kind = file_kind(path)
        if kind == "parquet":
            frame = read_parquet(path)
            if PANDAS_INDEX in frame.columns:
                names = [PANDAS_INDEX] if frame.schema[PANDAS_INDEX] == pl.String else []
                # Names come first, as in what pandas writes as csv; a count of rows is left out.
                frame = frame.select(*names, pl.exclude(PANDAS_INDEX))
            nested = [name for name, of in frame.schema.items() if of.is_nested()]
            if nested:
                raise DataError(
                    f"{path}: column {nested[0]!r} contains lists; write one value per row"
                )
            frame = frame.cast(pl.String)
        elif kind in ("text", "gzip", "unknown"):
            with BoundedGzip(path) if kind == "gzip" else path.open("rb") as opened:
                content = opened.read()
            _check_text(content, path)
            head = content.removeprefix(b"\xef\xbb\xbf").split(b"\n", maxsplit=1)[0].decode()
            separator = max(SEPARATORS, key=head.count)
            if separator not in head:
                raise DataError(
                    f"{path}: its first line names one column, {head.strip()[:60]!r}; a table "
                    "needs a header with columns such as perturbation, gene and label"
                )
            check_cells(content, separator, str(path))
            frame = pl.read_csv(content, separator=separator, infer_schema=False)
        else:
            raise DataError(f"{path} {said_of(kind, path)}; give a csv, tsv or Parquet table")
    if frame.height == 0:
        raise DataError(f"{path} has a header and no row; write one row per pair")
    names = [name.strip() for name in frame.columns]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"{path} has two columns called {min(twice)!r}; rename or drop one")
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    return frame.with_columns(pl.all().str.strip_chars())


def _check_text(content: bytes, path: Path) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin1"
        raise DataError(
            f"{path} is not UTF-8 text from line {line} on; save it in UTF-8: "
            f"iconv -f {encoding} -t utf-8 {path} > FILE"
        ) from error
    if b"\n" not in content.strip() and b"\r" in content.strip():
        raise DataError(
            f"{path} ends its lines with carriage returns alone; write line feeds: "
            f"tr '\\r' '\\n' < {path} > FILE"
        )
