"""Facet tuning against a slow rendering of it that refits the ridge without each condition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from core.model.tuning_case import (
    N_GENES,
    PENALTY,
    Case,
    Encoder,
    make_case,
    n_steps_of,
    slowly_tuned,
    tuned,
)

from dygenept.model.start import facet_tuning
from dygenept.model.start.beyond_chance import best_beyond_chance
from dygenept.model.start.closed_form import start_in_closed_form
from dygenept.model.start.facet_tuning import FacetChoice
from dygenept.model.start.readout import PENALTIES
from dygenept.plugin.interfaces import (
    FacetBatch,
)


class Chooser:
    """Stands in for ``best_for_strong_and_weak``: takes one setting and keeps what it got."""

    def __init__(self, chosen: int) -> None:
        self.chosen = chosen
        self.errors = self.cosines = np.empty((0, 0))

    def __call__(self, errors: np.ndarray, cosines: np.ndarray, *, level: float) -> tuple[int, int]:
        assert level == 0.05
        # Each setting under the penalty that is best for it.
        best = errors.mean(axis=0).argmin(axis=1)  # (n_settings,)
        self.errors, self.cosines = (
            np.take_along_axis(each, best[None, :, None], axis=2)[:, :, 0]
            for each in (errors, cosines)
        )
        return self.chosen, int(best[self.chosen])


def choosing(monkeypatch: pytest.MonkeyPatch, chosen: int, *checkpoints: int) -> Chooser:
    chooser = Chooser(chosen)
    monkeypatch.setattr(facet_tuning, "best_for_strong_and_weak", chooser)
    monkeypatch.setattr(facet_tuning, "CHECKPOINTS", checkpoints)
    return chooser


@pytest.mark.parametrize("has_none", [False, True])
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("n_turns", [1, 4])
def test_tuning_agrees_with_refits_that_leave_each_condition_out(
    shares: bool, n_turns: int, has_none: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser = choosing(monkeypatch, 2, 0, 1, 2)
    monkeypatch.setattr(facet_tuning, "MANY_PERTURBATIONS", 9 if n_turns == 1 else 10)
    case, other = make_case(9, shares=shares), make_case(9, shares=shares)
    if has_none:
        # One perturbation changes nothing, and tuning does not strive to predict that alone.
        case.deltas[3] = other.deltas[3] = 0.0
    before = case.types.detach().clone()
    tuning = tuned(case)
    assert (tuning.candidate, tuning.n_steps) == (0, 2)
    errors, cosines = slowly_tuned(other, (0, 1, 2), n_turns)
    # The penalty is the one that is best after so many steps.
    best = errors.mean(axis=0).argmin(axis=1)
    assert tuning.penalty == PENALTIES[best[2]]
    for found, expected in ((chooser.errors, errors), (chooser.cosines, cosines)):
        of_best = np.stack([expected[:, at, penalty] for at, penalty in enumerate(best)], axis=1)
        np.testing.assert_allclose(found, of_best, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(case.types.data, other.types.data, rtol=1e-4, atol=1e-5)
    assert float((case.types.data - before).abs().min()) > 1e-3
    assert case.types.grad is None


def test_a_gain_is_held_against_two_standard_errors_of_its_own() -> None:
    # Gains 1 and 3: mean 2, standard error √2 / √2 = 1, so that two of them are not exceeded.
    errors = np.array([[5.0, 4.0], [5.0, 2.0]])
    assert best_beyond_chance(errors, reference=0) == 0
    assert best_beyond_chance(errors - [[0.0, 1e-6]], reference=0) == 1
    assert best_beyond_chance(errors, reference=0, n_spreads=1.99) == 1
    assert best_beyond_chance(errors, reference=1) == 1
    # A single condition has no spread, however large its gain.
    assert best_beyond_chance(errors[:1], reference=0, n_spreads=0.1) == 0


def test_tuning_runs_where_it_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facet_tuning, "CHECKPOINTS", (0, 8))
    case = make_case(40)
    before = case.types.detach().clone()
    assert n_steps_of(case) == 8
    assert not torch.equal(case.types.data, before)


def test_where_no_checkpoint_wins_the_vectors_stay_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choosing(monkeypatch, 0, 0, 1)
    case = make_case(9)
    before = case.types.detach().clone()
    assert n_steps_of(case) == 0
    assert torch.equal(case.types.data, before)
    assert case.types.grad is None


class Shared(Encoder):
    """Facets that a gene's own code takes a share of; the share scales them, to be seen."""

    def __init__(self, *, is_typed: bool) -> None:
        super().__init__(is_typed=is_typed)
        self.identity_shares = (0.2, 1.0)
        self.share = 1.0

    def set_identity_share(self, share: float) -> None:
        self.share = share

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        batch = super().forward(gene_indices)
        types = 0.0 if self.facet_types is None else self.facet_types
        own = ((batch.values - types) * (1 - self.share) + types) * batch.known[..., None]
        return replace(batch, values=own)


def sharing(n: int, *, is_typed: bool) -> Case:
    case = make_case(n, is_typed=is_typed)
    before = case.network.gene_encoder.state_dict()
    case.network.gene_encoder = Shared(is_typed=is_typed)
    case.network.gene_encoder.load_state_dict(before)
    return case


@pytest.mark.parametrize("is_typed", [False, True])
def test_shares_and_lengths_compete_and_the_chosen_share_is_taken_up(
    is_typed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Settings are those of the first share, then those of the second.
    chooser = choosing(monkeypatch, 3 if is_typed else 1, 0, 2)
    case = sharing(9, is_typed=is_typed)
    chosen = tuned(case, 1.0, 0.2)
    assert (chosen.candidate, chosen.n_steps) == (1, 2 if is_typed else 0)
    assert case.network.gene_encoder.share == 0.2
    assert chooser.errors.shape == (9, 4 if is_typed else 2)
    # Each share is judged by its own facets: as by itself.
    alone = choosing(monkeypatch, 0, 0, 2)
    tuned(sharing(9, is_typed=is_typed), 0.2, 1.0)
    half = alone.errors.shape[1] // 2
    np.testing.assert_allclose(alone.errors[:, :half], chooser.errors[:, half:])
    np.testing.assert_allclose(alone.cosines[:, half:], chooser.cosines[:, :half])
    assert not np.allclose(chooser.errors[:, :half], chooser.errors[:, half:])


def test_facets_that_tell_are_read_and_codes_alone_stay_where_they_do_not() -> None:
    telling = sharing(40, is_typed=False)
    assert tuned(telling, 1.0, 0.2).candidate == 1
    silent = sharing(40, is_typed=False)
    table = silent.network.gene_encoder.table
    table.copy_(table[torch.randperm(N_GENES, generator=torch.Generator().manual_seed(0))])
    silent.deltas.copy_(
        torch.randn(silent.deltas.shape, generator=torch.Generator().manual_seed(1))
    )
    assert tuned(silent, 1.0, 0.2) == FacetChoice(0, 0, PENALTY)
    assert silent.network.gene_encoder.share == 1.0


def test_eight_conditions_are_enough_and_seven_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    choosing(monkeypatch, 1, 0, 1)
    case = make_case(7)
    before = case.types.detach().clone()
    assert n_steps_of(case) == 0
    assert torch.equal(case.types.data, before)
    assert n_steps_of(make_case(8)) == 1


class Untold(torch.nn.Module):
    """An encoder with identity shares that does not say whether it has facet vectors."""

    identity_shares = (0.2, 1.0)

    def __init__(self, encoder: Shared) -> None:
        super().__init__()
        self.encoder = encoder

    def set_identity_share(self, share: float) -> None:
        self.encoder.set_identity_share(share)

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        batch: FacetBatch = self.encoder(gene_indices)
        return batch


@pytest.mark.parametrize("offers", [True, False])
def test_an_encoder_without_facet_vectors_is_left_alone(
    offers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last setting would be one of 2 steps, were there vectors to tune.
    chooser = choosing(monkeypatch, -1, 0, 2)
    case = sharing(9, is_typed=False)
    if not offers:
        case.network.gene_encoder = Untold(case.network.gene_encoder)
    before = {name: value.clone() for name, value in case.network.state_dict().items()}
    assert tuned(case, 1.0, 0.2).n_steps == 0
    assert chooser.errors.shape == (9, 2)
    for name, value in case.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    # With one way of reading there is nothing to choose, and nobody is asked.
    nobody = choosing(monkeypatch, 1, 0, 2)
    assert tuned(sharing(9, is_typed=False)) == FacetChoice(0, 0, PENALTY)
    assert not nobody.errors.size


def test_a_warm_start_tunes_the_facets(monkeypatch: pytest.MonkeyPatch) -> None:
    choosing(monkeypatch, 1, 0, 1)
    case = make_case(9)
    before = case.types.detach().clone()
    fit = start_in_closed_form(case.network, case.data, np.random.default_rng(0))
    assert fit is not None
    assert float((case.types.data - before).abs().min()) > 1e-3
