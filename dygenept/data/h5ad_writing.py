"""Writes AnnData files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anndata


def write_whole(adata: anndata.AnnData, path: Path) -> None:
    """Write under a temporary name in the same folder, then rename.

    Args:
        adata: What to write.
        path: Where the ``.h5ad`` goes; its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        adata.write_h5ad(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
