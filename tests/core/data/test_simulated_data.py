from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.h5ad import simulated_draw
from dygenept.data.simulated import profiles
from dygenept.data.simulated.export import write_simulation
from dygenept.data.simulated.profiles import PROFILES
from dygenept.data.simulated.simulation import SimulatedData, simulate
from dygenept.data.simulated.truth import read_truth, truth_path
from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.knowledge.genes.tables import load_gene_tables


@pytest.fixture(scope="module")
def k562() -> SimulatedData:
    return simulate("k562", scale=0.02)


@pytest.fixture(scope="module")
def norman() -> SimulatedData:
    return simulate("norman", scale=0.02, seed=3)


def _deltas(data: SimulatedData) -> npt.NDArray[np.float64]:
    """Observed pseudobulk deltas, (n_conditions, G)."""
    codes = data.condition_codes + 1
    ones = np.ones(len(codes))
    picker = sparse.csr_matrix((ones, (codes, np.arange(len(codes)))))
    means = (picker @ data.expression).toarray() / np.asarray(picker.sum(axis=1))
    deltas: npt.NDArray[np.float64] = means[1:] - means[0]
    return deltas


def _top20_correlation(
    predicted: npt.NDArray[np.float64], observed: npt.NDArray[np.float64]
) -> float:
    """Mean correlation over the 20 genes that changed the most."""
    top = np.argsort(-np.abs(observed), axis=1)[:, :20]
    return float(
        np.mean(
            [
                np.corrcoef(mine[genes], theirs[genes])[0, 1]
                for mine, theirs, genes in zip(predicted, observed, top, strict=True)
            ]
        )
    )


def test_the_same_seed_gives_the_same_cells_and_truth(k562: SimulatedData) -> None:
    again = simulate("k562", scale=0.02)
    np.testing.assert_array_equal(again.expression.data, k562.expression.data)
    np.testing.assert_array_equal(again.expression.indices, k562.expression.indices)
    np.testing.assert_array_equal(again.condition_codes, k562.condition_codes)
    np.testing.assert_array_equal(again.truth.delta, k562.truth.delta)
    assert again.truth.target_genes == k562.truth.target_genes


def test_another_seed_gives_other_targets_and_cells(k562: SimulatedData) -> None:
    other = simulate("k562", scale=0.02, seed=1)
    assert other.truth.target_genes != k562.truth.target_genes
    assert other.expression.nnz != k562.expression.nnz


def test_a_data_set_has_the_shape_of_its_profile(norman: SimulatedData) -> None:
    profile = norman.profile
    assert norman.expression.shape == (profile.n_cells, profile.n_genes)
    assert (norman.condition_codes == -1).sum() == profile.n_controls
    counts = np.bincount(norman.condition_codes[norman.condition_codes >= 0])
    assert len(counts) == len(norman.truth.labels) == profile.n_perturbations
    assert counts.min() >= 10
    n_doubles = sum(not label.endswith("+ctrl") for label in norman.truth.labels)
    assert n_doubles == profile.n_doubles
    assert list(norman.truth.labels) == sorted(norman.truth.labels)


def test_genes_are_real_and_some_targets_are_not_measured(k562: SimulatedData) -> None:
    tables = load_gene_tables()
    assert all(tables.resolve(symbol) == symbol for symbol in k562.gene_symbols)
    assert all(name.startswith("ENSG") for name in k562.gene_ids)
    assert len(set(k562.gene_ids)) == len(set(k562.gene_symbols)) == k562.profile.n_genes
    measured = set(k562.truth.target_genes) & set(k562.gene_symbols)
    assert 0 < len(measured) < len(k562.truth.target_genes)


def test_interference_lowers_the_targets_own_expression(k562: SimulatedData) -> None:
    own = [
        k562.truth.log_fold[k562.truth.labels.index(f"{gene}+ctrl"), k562.gene_symbols.index(gene)]
        for gene in set(k562.truth.target_genes) & set(k562.gene_symbols)
    ]
    assert np.median(own) == pytest.approx(-1.5, abs=0.05)


def _strengths(data: SimulatedData) -> npt.NDArray[np.float64]:
    """Strength of each condition of single perturbations, (n_conditions,)."""
    of = dict(zip(data.truth.target_genes, data.truth.strength, strict=True))
    return np.array([of[label.removesuffix("+ctrl")] for label in data.truth.labels])


def test_observed_deltas_differ_from_the_planted_ones_by_sampling_alone(
    k562: SimulatedData,
) -> None:
    # Of most perturbations the effect is below its noise, so the noise is what all are measured by.
    codes = k562.condition_codes + 1
    control = k562.expression[codes == 0].toarray().astype(np.float64)
    n_cells = np.bincount(codes)[:, None]
    noise = control.std(axis=0) * np.sqrt(1 / n_cells[1:] + 1 / n_cells[0])
    expressed = control.mean(axis=0) > 0.05
    assert expressed.sum() > 100
    planted, observed = k562.truth.delta.astype(np.float64), _deltas(k562)
    scores = ((observed - planted) / np.where(noise > 0, noise, 1.0))[:, expressed]
    assert np.sqrt((scores**2).mean()) == pytest.approx(1.0, abs=0.08)
    # Without the effects, or with those of other perturbations, it is not noise alone.
    strong = _strengths(k562) > 0.5
    assert strong.sum() > 10
    for wrong in (0.0 * planted, np.roll(planted, 1, axis=0)):
        others = (observed - wrong)[strong][:, expressed] / noise[strong][:, expressed]
        assert np.sqrt((others**2).mean()) > 1.2
    assert _top20_correlation(planted[strong], observed[strong]) > 0.9


def test_effects_are_as_large_as_their_strengths_and_strong_ones_as_those_of_perturb_seq(
    k562: SimulatedData,
) -> None:
    strength = _strengths(k562)
    top = np.median(np.sort(np.abs(k562.truth.delta), axis=1)[:, -20:], axis=1)
    assert 0.1 < np.median(top[strength > 0.5]) < 0.6
    assert np.median(top[strength < 0.2]) < 0.02
    order = [values.argsort().argsort() for values in (top, strength)]
    assert np.corrcoef(*order)[0, 1] > 0.9
    share = top / strength
    assert np.percentile(share, 5) > np.percentile(share, 95) / 5


def test_the_facet_of_most_cells_is_responsible(k562: SimulatedData) -> None:
    truth = k562.truth
    for facet, by_state in zip(truth.responsible, truth.responsible_by_state, strict=True):
        share = [truth.state_shares[by_state == option].sum() for option in range(8)]
        assert facet == (-1 if by_state[0] == -1 else int(np.argmax(share)))
    observed = np.bincount(truth.state_codes, minlength=3) / len(truth.state_codes)
    np.testing.assert_allclose(observed, truth.state_shares, atol=0.05)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 and above"):
        simulate("dixit", scale=0.01, seed=-1)


def test_the_file_has_gears_layout_and_says_that_it_is_simulated(
    norman: SimulatedData, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "perturb_processed.h5ad"
    write_simulation(norman, path)
    assert sorted(item.name for item in path.parent.iterdir()) == [
        "perturb_processed.h5ad",
        "perturb_processed.truth.npz",
    ]
    adata = anndata.read_h5ad(path)
    assert (adata.X != norman.expression).nnz == 0
    assert (adata.X.dtype, adata.X.indices.dtype) == (np.float32, np.int32)
    assert list(adata.var_names) == list(norman.gene_ids)
    assert list(adata.var["gene_name"]) == list(norman.gene_symbols)
    control = adata.obs[adata.obs["control"] == 1]
    assert set(control["condition"]) == {"ctrl"}
    assert set(control["condition_name"]) == {"K562_ctrl_1"}
    double = adata.obs[~adata.obs["condition"].str.contains("ctrl")].iloc[0]
    assert double["condition_name"] == f"K562_{double['condition']}_1+1"
    assert double["dose_val"] == "1+1"
    assert bool(adata.uns["dygenept"]["simulated"])
    assert adata.uns["dygenept"]["profile"] == "norman"
    assert read_anndata(path).draw == norman.seed
    planted = read_anndata(path).planted
    shares = dict(zip(norman.truth.source_names, norman.truth.source_shares, strict=True))
    assert planted == pytest.approx(shares, abs=1e-4)
    assert sum(planted.values()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("seed", [-1, 0.5, "one"])
def test_a_file_with_a_seed_that_is_none_is_refused(
    norman: SimulatedData, tmp_path: Path, seed: object
) -> None:
    path = tmp_path / "perturb_processed.h5ad"
    write_simulation(norman, path)
    with h5py.File(path, "r+") as file:
        del file["uns/dygenept/seed"]
        assert simulated_draw(file) is None
        file["uns/dygenept/seed"] = seed
    with pytest.raises(DataError, match="uns/dygenept/seed must be a whole number"):
        read_anndata(path)


def test_without_a_seed_full_size_is_drawn_as_it_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = PROFILES["dixit"].scaled(0.01)
    small = {"dixit": replace(shape, draw=3)}
    monkeypatch.setattr(profiles, "PROFILES", small)
    # The small shape stands for full size here: only its draw is looked at.
    shipped, asked = simulate("dixit"), simulate("dixit", seed=3)
    assert shipped.seed == asked.seed == 3
    assert shipped.truth.target_genes == asked.truth.target_genes
    assert simulate("dixit", scale=0.5).seed == 0
    assert simulate("dixit", seed=0).truth.target_genes != shipped.truth.target_genes


def test_the_truth_survives_its_file(norman: SimulatedData, tmp_path: Path) -> None:
    path = tmp_path / "perturb_processed.h5ad"
    write_simulation(norman, path)
    truth = read_truth(path)
    assert truth.labels == norman.truth.labels
    assert truth.target_genes == norman.truth.target_genes
    assert truth.facet_names == norman.truth.facet_names
    np.testing.assert_array_equal(truth.delta, norman.truth.delta)
    np.testing.assert_array_equal(truth.responsible, norman.truth.responsible)
    assert read_truth(truth_path(path)).program_terms == norman.truth.program_terms
    assert read_truth(str(path)).program_terms == norman.truth.program_terms


def test_a_data_set_without_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="no planted truth"):
        read_truth(tmp_path / "real.h5ad")


def test_a_damaged_truth_file_is_an_error(norman: SimulatedData, tmp_path: Path) -> None:
    path = tmp_path / "perturb_processed.h5ad"
    write_simulation(norman, path)
    file = truth_path(path)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataError, match="delete it and simulate again"):
        read_truth(path)


def test_a_write_that_fails_leaves_nothing_behind(norman: SimulatedData, tmp_path: Path) -> None:
    folder = tmp_path / "perturb_processed.h5ad"
    folder.mkdir()
    with pytest.raises(OSError, match=r"perturb_processed\.h5ad"):
        write_simulation(norman, folder)
    assert not [item for item in tmp_path.iterdir() if item.suffix == ".partial"]


def test_what_a_killed_process_left_half_written_goes_with_the_next_write(
    norman: SimulatedData, tmp_path: Path
) -> None:
    path = tmp_path / "screen.h5ad"
    begun = f"""
import os
from pathlib import Path
from dygenept.machine.whole_files import replaced_whole
names = ("screen.h5ad", "screen.truth.npz")
begun = [replaced_whole(Path({str(tmp_path)!r}, name)) for name in names]
for file in begun:
    file.__enter__()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", begun], check=False).returncode == 9
    assert len(list(tmp_path.glob(".*.partial"))) == 2
    write_simulation(norman, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["screen.h5ad", "screen.truth.npz"]
