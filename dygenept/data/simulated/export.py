"""Writes a simulated data set in GEARS' layout, with its planted truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.simulated.profiles import SIMULATION_VERSION
from dygenept.data.simulated.simulation import SimulatedData
from dygenept.data.simulated.truth import truth_path, write_truth
from dygenept.machine.hdf5_files import write_h5ad
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import CONTROL_LABEL

if TYPE_CHECKING:
    import pandas as pd


def write_simulation(simulation: SimulatedData, path: Path) -> None:
    """Write the data set and its truth (``<stem>.truth.npz``).

    The file is uncompressed: it is read several times faster than any compression allows, and
    counts that were scaled and logged compress badly. It is written under a temporary name and
    renamed last, so a file at ``path`` is whole and has its truth.

    Args:
        simulation: The data set.
        path: Where the ``.h5ad`` goes; its folder is made where it is missing.
    """
    import anndata
    import pandas as pd

    adata = anndata.AnnData(
        X=simulation.expression,
        obs=_obs(simulation),
        var=pd.DataFrame(
            {"gene_name": list(simulation.gene_symbols)},
            index=pd.Index(list(simulation.gene_ids), name="gene_id"),
        ),
        uns={
            "dygenept": {
                "simulated": True,
                "profile": simulation.profile.name,
                "scale": simulation.scale,
                "seed": simulation.seed,
                "version": SIMULATION_VERSION,
                "gene_tables_sha256": simulation.gene_tables_sha256,
                "stands_for": simulation.profile.stands_for,
                "planted": _planted(simulation),
            }
        },
    )
    with replaced_whole(path, sweeps=True) as temporary:
        write_h5ad(adata, temporary)
        write_truth(simulation.truth, truth_path(path))


def _planted(simulation: SimulatedData) -> dict[str, float]:
    """Share of each source in the effects, to four decimals."""
    truth = simulation.truth
    pairs = zip(truth.source_names, truth.source_shares, strict=True)
    return {source: round(float(share), 4) for source, share in pairs}


def _obs(simulation: SimulatedData) -> pd.DataFrame:
    """Cells in GEARS' layout: condition, cell_type, dose_val, control, condition_name."""
    import pandas as pd

    cell_type = simulation.profile.cell_type
    labels = [CONTROL_LABEL, *simulation.truth.labels]
    doses = ["1" if label == CONTROL_LABEL else "1+1" for label in labels]
    names = [f"{cell_type}_{label}_{dose}" for label, dose in zip(labels, doses, strict=True)]
    codes = simulation.condition_codes + 1
    return pd.DataFrame(
        {
            "condition": pd.Categorical.from_codes(codes, labels),
            "cell_type": pd.Categorical.from_codes(np.zeros_like(codes), [cell_type]),
            "dose_val": pd.Categorical.from_codes(np.minimum(codes, 1), ["1", "1+1"]),
            "control": (codes == 0).astype(np.int64),
            "condition_name": pd.Categorical.from_codes(codes, names),
        },
        index=pd.Index([f"{simulation.profile.name}_{number:06d}" for number in range(len(codes))]),
    )
