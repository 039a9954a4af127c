"""Do full-size simulated screens look like real ones of the same numbers of cells? Minutes.

    python benchmarks/realism/matched.py FOLDER SIMULATED.h5ad…

``FOLDER`` has the three real screens of docs/data.md (norman_subset, papalexi, mcf10a); nothing of
them but statistics is printed. Of each simulated screen ``N_DRAWS`` parts are drawn that have the
numbers of perturbations, of cells of each, of control cells and of genes of a real one. Prints a
table per real screen: its statistics, and their means over the parts with standard deviations.
``docs/data.md`` explains the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matched_screen import matched_screen
from screen_statistics import screen_statistics

from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.types import DataMapping, PerturbationData

N_DRAWS = 10


def real_screens(folder: Path) -> dict[str, PerturbationData]:
    """Read the real screens."""
    target = DataMapping(condition_column="gene", control=("non-targeting",))
    return {
        "Norman subset": read_anndata(folder / "norman_subset" / "perturb_processed.h5ad"),
        "Papalexi": read_anndata(
            folder / "papalexi" / "papalexi.h5ad", normalize=True, mapping=target
        ),
        "MCF10A": read_anndata(folder / "mcf10a" / "mcf10a.h5ad", normalize=True),
    }


def parts_like(
    real: PerturbationData, simulated: PerturbationData, *, genes: bool
) -> list[dict[str, float]]:
    """Return statistics of parts of a simulated screen with the numbers of a real one."""
    sizes = pseudobulk(real).n_cells.tolist()
    n_controls = int((real.condition_codes < 0).sum())
    found = []
    for seed in range(N_DRAWS):
        part = matched_screen(
            simulated,
            sizes,
            n_controls,
            n_genes=real.n_genes if genes else None,
            rng=np.random.default_rng(seed),
        )
        found.append(dict(screen_statistics(part).document()))
    return found


def main(folder: Path, files: list[Path]) -> None:
    """Print the tables."""
    for name, real in real_screens(folder).items():
        of_real = screen_statistics(real).document()
        columns = {}
        for path in files:
            simulated = read_anndata(path)
            columns[f"{path.parent.name}, cells"] = parts_like(real, simulated, genes=False)
            columns[f"{path.parent.name}, cells and genes"] = parts_like(
                real, simulated, genes=True
            )
        print(f"\n| statistic | {name} | {' | '.join(columns)} |")  # noqa: T201
        print(f"|{'---|' * (len(columns) + 2)}")  # noqa: T201
        for key, figure in of_real.items():
            drawn = [[of[key] for of in parts] for parts in columns.values()]
            cells = [f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in drawn]
            print(f"| {key} | {figure:.3f} | {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
