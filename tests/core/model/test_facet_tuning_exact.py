"""Facet tuning against a slow rendering of it that refits the ridge without each condition."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from dygenept.model.control_pool import ControlCells
from dygenept.model.network import PADDING, DyGenePT, Parts
from dygenept.model.start import facet_tuning
from dygenept.model.start.closed_form import start_in_closed_form
from dygenept.model.start.facet_tuning import FacetCandidate, FacetChoice, choose_facets
from dygenept.model.start.features import StartData
from dygenept.model.start.left_out import best_beyond_chance
from dygenept.model.start.readout import PENALTIES
from dygenept.model.training.batches import ConditionSet
from dygenept.plugin.interfaces import (
    AttentionOutput,
    CellEncoderContext,
    ControlPool,
    FacetBatch,
    GeneEncoderContext,
)
from dygenept.testing import toy_knowledge

CPU = torch.device("cpu")
WIDTH = 3
N_GENES = 12
N_FACETS = 2
N_OUTPUTS = 5
PENALTY = 0.3
N_CELLS = 4  # three of cell type 0, one of cell type 1


class Encoder(nn.Module):
    """Random facets, of which the last gene knows one, plus a learned vector per facet."""

    def __init__(self, *, is_typed: bool) -> None:
        super().__init__()
        self.register_buffer("table", 0.3 * torch.randn(N_GENES, N_FACETS, WIDTH))
        self.register_buffer("trust", 0.5 + 0.5 * torch.rand(N_GENES, N_FACETS))
        known = torch.ones(N_GENES, N_FACETS, dtype=torch.bool)
        known[-1, 1] = False
        self.register_buffer("known", known)
        self.facet_types: nn.Parameter | None = None
        if is_typed:
            self.facet_types = nn.Parameter(0.3 * torch.randn(N_FACETS, WIDTH))
        self.null = nn.Parameter(torch.full((WIDTH,), 0.1))

    def facet_vectors(self) -> nn.Parameter | None:
        return self.facet_types

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        known = self.known[gene_indices.clamp(min=0)] & (gene_indices >= 0)[..., None]
        values = self.table[gene_indices.clamp(min=0)]
        if self.facet_types is not None:
            values = values + self.facet_types
        values = values.masked_fill(~known[..., None], 0.0)
        confidence = self.trust[gene_indices.clamp(min=0)] * known
        return FacetBatch(values=values, confidence=confidence, known=known, null=self.null)


class Cells(nn.Module):
    """One random state per control cell; training mode would spoil it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.randn(N_CELLS, WIDTH))

    def prepare(self, pool: ControlPool) -> None:
        pass

    def forward(self, control_indices: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.table[control_indices]
        return states + 1 if self.training else states


class Attends(nn.Module):
    """Softmax over known facets by their product with the cell's state, times confidence."""

    def forward(self, cell: torch.Tensor, facets: FacetBatch) -> AttentionOutput:
        assert not facets.values[~facets.known].any()
        scores = torch.einsum("bd,bpkd->bpk", cell, facets.values)
        scores = scores.masked_fill(~facets.known, -1e9)
        weights = scores.softmax(dim=-1) * facets.confidence
        embedding = torch.einsum("bpk,bpkd->bpd", weights, facets.values)
        return AttentionOutput(embedding=embedding, weights=weights[:, :, None])


class Readout(nn.Module):
    """Features: the sum over perturbed genes, and one that grows with the cell."""

    def readout_features(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        total = (embedding * gene_mask[..., None]).sum(dim=1)
        return torch.cat([total, 0.1 * cell[:, :1].abs()], dim=1)

    def set_readout(self, weights: torch.Tensor) -> None:
        self.weights = weights


class SharedReadout(Readout):
    """Has features that all perturbations share, too."""

    def shared_features(self, cell: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(cell, 0.2), 0.1 * cell[:, :1].abs()], dim=1)


@dataclass(frozen=True)
class Case:
    """A network and the train conditions that its facets are tuned on."""

    network: DyGenePT
    genes: torch.Tensor
    cell_types: np.ndarray
    deltas: torch.Tensor
    controls: ControlCells

    @property
    def data(self) -> StartData:
        n = len(self.deltas)
        no_genes = torch.full((n, 20), -1)
        conditions = ConditionSet(self.genes, self.cell_types, self.deltas, no_genes)
        return StartData(conditions=conditions, controls=self.controls, device=CPU)

    @property
    def types(self) -> nn.Parameter:
        types = self.network.gene_encoder.facet_types
        assert isinstance(types, nn.Parameter)
        return types


def make_case(n: int, *, shares: bool = False, is_typed: bool = True) -> Case:
    """Conditions whose effects follow the genes' first facet."""
    knowledge = toy_knowledge()
    decoder = SharedReadout() if shares else Readout()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = DyGenePT(
            Parts(
                gene_encoder=lambda context: Encoder(is_typed=is_typed),
                cell_encoder=lambda context: Cells(),
                attention=lambda width: Attends(),
                decoder=lambda context: decoder,  # type: ignore[return-value,arg-type]
            ),
            genes=GeneEncoderContext(knowledge, knowledge.genes, WIDTH),
            cells=CellEncoderContext(("A",), knowledge.genes, WIDTH, seed=0),
            n_genes=N_OUTPUTS,
        )
        maps = torch.randn(WIDTH, N_OUTPUTS)
        noise = torch.randn(n, N_OUTPUTS)
    rng = np.random.default_rng(5)
    genes = torch.from_numpy(np.stack([rng.choice(N_GENES, 2, replace=False) for _ in range(n)]))
    genes[::3, 1] = PADDING
    table = network.gene_encoder.table[:, 0]
    signal = (table[genes.clamp(min=0)] * (genes != PADDING)[..., None]).sum(dim=1) @ maps
    deltas = signal + 0.1 * noise + 0.5
    return Case(
        network=network,
        genes=genes,
        cell_types=(np.arange(n) % 4 == 1).astype(np.int64),
        deltas=0.3 * deltas.float(),
        controls=ControlCells(
            expression=sparse.csr_matrix((N_CELLS, 1), dtype=np.float32),
            cell_type_codes=np.array([0, 0, 1, 0], dtype=np.int32),
            n_cell_types=2,
        ),
    )


def tuned(case: Case, *shares: float) -> FacetChoice:
    rng = np.random.default_rng(0)
    candidates = [FacetCandidate(PENALTY, identity_share=share) for share in shares or (None,)]
    return choose_facets(case.network, case.data, rng, candidates=candidates)


def n_steps_of(case: Case) -> int:
    return tuned(case).n_steps


class Slow:
    """The same in plain loops: every condition and cell by itself, every refit by itself."""

    def __init__(self, case: Case, drawn: np.ndarray) -> None:
        case.network.eval()
        self.case = case
        of_type = {code: [i for i in drawn if i in (2,)] or None for code in (1,)}
        zero = [int(i) for i in drawn if i != 2]
        assert len(zero) == 2
        assert of_type[1] == [2]
        self.cells = {0: zero, 1: [2, 2]}
        states = case.network.encode_cells(torch.tensor([*zero, 2, 2]))
        decoder = case.network.decoder
        self.shared = None
        if isinstance(decoder, SharedReadout):
            mean = decoder.shared_features(states).mean(dim=0).double()
            self.shared = mean / mean.norm()

    def typical(self, rows: np.ndarray) -> torch.Tensor:
        deltas = self.case.deltas.double()[rows]
        if self.shared is None:
            return torch.zeros(N_OUTPUTS, dtype=torch.float64)
        weights = 1 / deltas.norm(dim=1)
        return (weights[:, None] * deltas).sum(dim=0) / weights.sum()

    def features(self, rows: np.ndarray) -> torch.Tensor:
        network = self.case.network
        found = []
        for row in rows:
            of_row = []
            for cell in self.cells[int(self.case.cell_types[row])]:
                state = network.encode_cells(torch.tensor([cell]))
                genes = self.case.genes[row][None]
                embedding = network.attend(genes, state).embedding
                of_row.append(network.decoder.readout_features(embedding, genes >= 0, state)[0])
            mean = torch.stack(of_row).mean(dim=0).double()
            if self.shared is not None:
                mean = mean - (mean @ self.shared) * self.shared
            found.append(mean)
        return torch.stack(found)

    def tune(self, rows: np.ndarray, held: np.ndarray | None, checkpoints: tuple[int, ...]) -> list:
        """Descend; return held-out errors and cosines, (2, n_held, n_penalties) each."""
        types, deltas = self.case.types, self.case.deltas.double()
        log_penalty = torch.tensor(np.log(PENALTY), dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam(
            [{"params": [types], "lr": 0.05}, {"params": [log_penalty], "lr": 0.1}]
        )
        targets = deltas[rows] - self.typical(rows)
        errors = []
        for step in range(checkpoints[-1] + 1):
            features = self.features(rows)
            scale = features.square().sum(dim=1).mean()
            penalty = log_penalty.exp() * scale
            if held is not None and step in checkpoints:
                found = []
                for tried in PENALTIES:
                    kernel = features @ features.T + tried * scale * torch.eye(len(rows))
                    weights = torch.linalg.solve(kernel, targets)
                    predicted = self.typical(rows) + self.features(held) @ features.T @ weights
                    squares = (predicted - deltas[held]).square().mean(dim=1)
                    cosines = torch.cosine_similarity(predicted, deltas[held], dim=1)
                    found.append(torch.stack([squares, cosines]))
                errors.append(torch.stack(found, dim=2).detach().numpy())
            if step == checkpoints[-1]:
                break
            loss = torch.zeros((), dtype=torch.float64)
            for i, row in enumerate(rows):
                rest = [j for j in range(len(rows)) if j != i]
                others = features[rest]
                kernel = others @ others.T + penalty * torch.eye(len(rest))
                weights = torch.linalg.solve(kernel, targets[rest])
                residual = features[i] @ others.T @ weights - targets[i]
                loss = loss + residual.square().sum() / deltas[row].square().sum() / len(rows)
            adam.zero_grad()
            loss.backward()
            adam.step()
        adam.zero_grad()
        return errors


def slowly_tuned(
    case: Case, checkpoints: tuple[int, ...], n_turns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tune in place up to the last checkpoint; return the held-out errors and cosines.

    Returns:
        Both (n, n_checkpoints, n_penalties).
    """
    rng = np.random.default_rng(0)
    slow = Slow(case, case.controls.sample(2, rng))
    n = len(case.deltas)
    start = case.types.detach().clone()
    scores = []
    for part in np.array_split(rng.permutation(n), 4)[:n_turns]:
        held = np.sort(part)
        rest = np.array([row for row in range(n) if row not in held])
        scores.append(np.stack(slow.tune(rest, held, checkpoints), axis=2))
        case.types.data.copy_(start)
    slow.tune(np.arange(n), None, checkpoints)
    errors, cosines = np.concatenate(scores, axis=1)
    return errors, cosines


class Chooser:
    """Stands in for ``best_for_strong_and_weak``: takes one setting and keeps what it got."""

    def __init__(self, chosen: int) -> None:
        self.chosen = chosen
        self.errors = self.cosines = np.empty((0, 0))

    def __call__(
        self, errors: np.ndarray, cosines: np.ndarray, *, reference: int, n_spreads: float
    ) -> int:
        assert (reference, n_spreads) == (0, 1.645)
        self.errors, self.cosines = errors, cosines
        return self.chosen


def choosing(monkeypatch: pytest.MonkeyPatch, chosen: int, *checkpoints: int) -> Chooser:
    chooser = Chooser(chosen)
    monkeypatch.setattr(facet_tuning, "best_for_strong_and_weak", chooser)
    monkeypatch.setattr(facet_tuning, "CHECKPOINTS", checkpoints)
    return chooser


@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("n_turns", [1, 4])
def test_tuning_agrees_with_refits_that_leave_each_condition_out(
    shares: bool, n_turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser = choosing(monkeypatch, 2, 0, 1, 2)
    monkeypatch.setattr(facet_tuning, "MANY_PERTURBATIONS", 9 if n_turns == 1 else 10)
    case, other = make_case(9, shares=shares), make_case(9, shares=shares)
    before = case.types.detach().clone()
    tuning = tuned(case)
    assert (tuning.candidate, tuning.n_steps) == (0, 2)
    errors, cosines = slowly_tuned(other, (0, 1, 2), n_turns)
    # Each checkpoint is judged under the penalty that is best for it.
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


def test_an_encoder_without_facet_vectors_is_left_alone() -> None:
    assert n_steps_of(make_case(9, is_typed=False)) == 0


def test_a_warm_start_tunes_the_facets(monkeypatch: pytest.MonkeyPatch) -> None:
    choosing(monkeypatch, 1, 0, 1)
    case = make_case(9)
    before = case.types.detach().clone()
    fit = start_in_closed_form(case.network, case.data, np.random.default_rng(0))
    assert fit is not None
    assert float((case.types.data - before).abs().min()) > 1e-3
