from __future__ import annotations

import pytest

from dygenept.data.simulated.profiles import PROFILES, profile_named
from dygenept.errors import ConfigError


def test_full_size_has_the_shape_of_the_real_data_set() -> None:
    norman = PROFILES["norman"].scaled(1.0)
    assert (norman.n_cells, norman.n_genes, norman.n_controls) == (91_205, 5_045, 7_353)
    assert (norman.n_singles, norman.n_doubles, norman.n_perturbations) == (105, 131, 236)


def test_two_percent_of_k562_is_small_and_still_informative() -> None:
    small = PROFILES["k562"].scaled(0.02)
    assert (small.n_cells, small.n_genes, small.n_singles) == (3_255, 393, 58)


@pytest.mark.parametrize("name", sorted(PROFILES))
@pytest.mark.parametrize("scale", [1e-4, 0.01, 0.1, 0.5, 1.0])
def test_every_scale_keeps_enough_for_five_folds_and_de_lists(name: str, scale: float) -> None:
    full, small = PROFILES[name], PROFILES[name].scaled(scale)
    assert min(20, full.n_singles) <= small.n_singles <= full.n_singles
    assert 200 <= small.n_genes <= full.n_genes
    assert small.n_cells <= full.n_cells
    n_perturbed = small.n_cells - small.n_controls
    assert n_perturbed >= 20 * small.n_perturbations
    assert small.n_controls >= 120


def test_the_draw_that_ships_counts_at_full_size_alone() -> None:
    assert PROFILES["norman"].draw == 1
    assert PROFILES["norman"].default_seed(1.0) == 1
    assert PROFILES["norman"].scaled(1.0).draw == 1
    assert {profile.default_seed(0.5) for profile in PROFILES.values()} == {0}


@pytest.mark.parametrize("scale", [0.0, -0.5, 1.5])
def test_scale_outside_its_range_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError, match="above 0, at most 1"):
        PROFILES["k562"].scaled(scale)


def test_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'norman'"):
        profile_named("normann")
