"""The readers by name; a module that contains some registers them when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

READERS: dict[str, Callable[[Path], object]] = {}
GENES = ("TP53", "CDKN1A", "KLF1", "GATA1", "NOTAGENE")


def reader(*names: str) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    """Register what reads a folder; it raises, or returns what was read (None: passed over)."""

    def register(read: Callable[[Path], object]) -> Callable[[Path], object]:
        for name in names:
            READERS[name] = read
        return read

    return register


def file_of(folder: Path, *suffixes: str) -> Path:
    return next(path for path in sorted(folder.iterdir()) if path.name.endswith(suffixes))
