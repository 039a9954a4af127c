"""The toy data set as a file in GEARS' layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dygenept.machine.whole_files import replaced_whole
from dygenept.testing.toy import ToyShape, toy_cells
from dygenept.types import CONTROL_LABEL


def write_toy_h5ad(path: Path, shape: ToyShape | None = None) -> Path:
    """Write the toy data set as an ``.h5ad`` file in GEARS' layout, without DE lists.

    The file says of itself that it is simulated. It is written to a temporary name and renamed.

    Args:
        path: Where it goes; its folder is made.
        shape: Its size and seed.

    Returns:
        ``path``.
    """
    import anndata
    import pandas as pd

    cells = toy_cells(shape or ToyShape())
    is_control = cells.labels == CONTROL_LABEL
    dose = np.where(is_control, "1", "1+1")
    names = [
        f"{cell_type}_{label}_{of}"
        for cell_type, label, of in zip(cells.cell_types, cells.labels, dose, strict=True)
    ]
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(cells.labels),
            "cell_type": pd.Categorical(cells.cell_types),
            "dose_val": pd.Categorical(dose),
            "control": is_control.astype(np.int64),
            "condition_name": pd.Categorical(names),
        },
        index=pd.Index([f"cell{number}" for number in range(len(names))], name="cell_barcode"),
    )
    var = pd.DataFrame(
        {"gene_name": list(cells.gene_symbols)},
        index=pd.Index(list(cells.gene_ids), name="gene_id"),
    )
    adata = anndata.AnnData(
        X=cells.expression, obs=obs, var=var, uns={"dygenept": {"simulated": True}}
    )
    with replaced_whole(path) as temporary:
        adata.write_h5ad(temporary)
    return path
