"""Parts of a screen with the numbers of another: what is drawn, and what fewer cells do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matched_screen import matched_screen
from real_ranges import outside_of_real_ranges
from screen_statistics import screen_statistics

from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated.export import write_simulation
from dygenept.data.simulated.simulation import simulate
from dygenept.errors import DataError
from dygenept.testing.toy import toy_data
from dygenept.types import PerturbationData

# The Norman subset: 33 perturbations of 100 cells (one has 80), and 100 control cells.
NORMAN_CELLS, NORMAN_CONTROLS = (80, *[100] * 32), 100
MATCHED = ("near_null_share", "de_share", "de_share_high")


@pytest.fixture(scope="module")
def draws(tmp_path_factory: pytest.TempPathFactory) -> list[PerturbationData]:
    folder: Path = tmp_path_factory.mktemp("simulated")
    found = []
    for seed in (6, 7, 8, 9):
        path = folder / f"{seed}.h5ad"
        write_simulation(simulate("norman", scale=0.1, seed=seed), path)
        found.append(read_anndata(path))
    return found


def test_a_part_has_the_numbers_that_are_asked_for_and_no_cell_twice() -> None:
    data = toy_data()
    sizes, n_controls = [3, 5, 4], 7
    part = matched_screen(data, sizes, n_controls, n_genes=11, rng=np.random.default_rng(0))
    assert sorted(pseudobulk(part).n_cells.tolist()) == sorted(sizes)
    assert int((part.condition_codes < 0).sum()) == n_controls
    assert part.expression.shape == (sum(sizes) + n_controls, 11)
    assert len(set(part.cell_ids)) == part.n_cells
    genes = [data.gene_ids.index(gene) for gene in part.gene_ids]
    of_cell = {name: row for row, name in enumerate(data.cell_ids)}
    for row, name in enumerate(part.cell_ids):
        whole = of_cell[name]
        assert np.array_equal(
            part.expression[[row]].toarray(), data.expression[[whole]][:, genes].toarray()
        )
        code = data.condition_codes[whole]
        own = None if code < 0 else data.conditions[code]
        drawn = part.condition_codes[row]
        assert own == (None if drawn < 0 else part.conditions[drawn])


def test_what_a_screen_lacks_is_not_made_up() -> None:
    data = toy_data()
    many = [10**6] * (len(data.conditions) + 3)
    part = matched_screen(data, many, 10**6, n_genes=10**6, rng=np.random.default_rng(0))
    assert part.conditions == data.conditions
    assert np.array_equal(part.cell_ids, data.cell_ids)
    assert part.gene_ids == data.gene_ids
    with pytest.raises(DataError, match="at least one number"):
        matched_screen(data, [], 5, rng=np.random.default_rng(0))


def test_with_as_many_cells_as_a_real_screen_the_simulated_one_has_no_more_de_genes(
    draws: list[PerturbationData],
) -> None:
    wholes, parts = [], []
    for seed, data in enumerate(draws):
        part = matched_screen(data, NORMAN_CELLS, NORMAN_CONTROLS, rng=np.random.default_rng(seed))
        assert len(part.conditions) == len(NORMAN_CELLS)
        wholes.append(screen_statistics(data).document())
        parts.append(screen_statistics(part).document())
    # Half of the cells: fewer genes are significant in every draw.
    for whole, part_of in zip(wholes, parts, strict=True):
        assert part_of["cells_per_condition"] < whole["cells_per_condition"]
        assert part_of["de_share"] < whole["de_share"]
        assert part_of["near_null_share"] > whole["near_null_share"]
    # At their own numbers of cells they look like the real screens in everything.
    assert not outside_of_real_ranges(wholes)
    assert not set(MATCHED) & set(outside_of_real_ranges(parts))
    for name in MATCHED:
        figures = [of[name] for of in parts]
        # Slack must not swallow the test.
        assert 2 * np.std(figures, ddof=1) / np.sqrt(len(figures)) < 0.25, name
