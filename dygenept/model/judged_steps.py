"""Do gradient steps after a closed-form start predict train perturbations that they have not seen?

Steps can lose what a start in closed form has: it is chosen by left-out errors, and they are not.
So perturbations are held out of the readout and of the steps in turn, and the steps are taken on
all of them only where these are predicted better by more than chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from dygenept.machine import collectives
from dygenept.model.losses import pearson_delta_de
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import can_predict_top_genes, predict_means, predict_top_genes
from dygenept.model.seeds import derived_seed, judged_rng
from dygenept.model.shared_start import by_writer
from dygenept.model.start.beyond_chance import are_gains
from dygenept.model.start.closed_form import (
    CELLS_OF_MANY,
    CELLS_PER_TYPE,
    ClosedFormStart,
    refit_readout,
)
from dygenept.model.start.features import StartData
from dygenept.model.start.left_out import MANY_PERTURBATIONS
from dygenept.model.training.checkpoint import changing_tensors, restore_tensors
from dygenept.model.training.loop import Trainer
from dygenept.model.training.precision import autocast
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.types import DoubleArray

N_PARTS = 4
# Of the one-sided test that the gain must pass.
LEVEL = 0.05
# Fewer held-out perturbations than two a part tell nothing.
MIN_PERTURBATIONS = 8


@dataclass(frozen=True, slots=True)
class StepsJudgement:
    """How held-out train perturbations are predicted before and after the steps.

    Attributes:
        before: Mean pearson_delta_top20 of each perturbation from the start alone, (n,).
        after: The same with the steps, (n,).
    """

    before: DoubleArray
    after: DoubleArray

    @property
    def are_kept(self) -> bool:
        """True if the gain is beyond chance."""
        gains = self.after - self.before
        return bool(are_gains(gains[:, None], level=LEVEL)[0])

    @property
    def chosen(self) -> Chosen:
        """What records say of it; empty where nothing could be held out."""
        if len(self.before) < 2:
            return {}
        gains = self.after - self.before
        return {
            "held_out_score_of_start": float(self.before.mean()),
            "held_out_score_with_steps": float(self.after.mean()),
            "standard_error_of_gain": float(gains.std(ddof=1) / len(gains) ** 0.5),
        }


def judge_steps(
    network: DyGenePT, trainer: Trainer, data: StartData, start: ClosedFormStart
) -> StepsJudgement:
    """Hold out a quarter of the perturbations, four times where there are few, once elsewhere.

    The readout is fitted to the others and the steps are taken on them; facets, identity share and
    all else that the start settled on stay.

    Args:
        network: Started in closed form; it is left as it was.
        trainer: Takes the steps.
        data: All conditions that it learns from.
        start: What its start settled on.
    """
    numbers = data.rows().perturbations
    n = data.rows().n_perturbations
    if n < MIN_PERTURBATIONS:
        return StepsJudgement(np.empty(0), np.empty(0))
    rng = judged_rng(trainer.seed)
    parts = np.array_split(rng.permutation(n), N_PARTS)
    before, after = [], []
    kept = {name: value.clone() for name, value in changing_tensors(network).items()}
    by_type = network.by_type
    has_many = n >= MANY_PERTURBATIONS
    for number, part in enumerate(parts[:1] if has_many else parts):
        is_held = np.isin(numbers, part)
        inner, held = (
            replace(data, conditions=data.conditions.take(np.flatnonzero(of)))
            for of in (~is_held, is_held)
        )
        # Only the writer draws: nothing else may read this generator from here on.
        by_writer(network, partial(refit_readout, network, inner, rng, start))
        before.append(_scores(network, trainer, held, spares=has_many))
        replace(
            trainer,
            source=trainer.source.take(np.flatnonzero(~is_held)),
            validation=None,
            seed=derived_seed(trainer.seed, number),
            report=lambda epoch, text: None,
            checkpoint=None,
        ).train(network)
        after.append(_scores(network, trainer, held, spares=has_many))
        network.by_type = by_type
        restore_tensors(network, kept)
    network.eval()
    scores = torch.from_numpy(np.stack([np.concatenate(before), np.concatenate(after)]))
    scores = scores.to(trainer.device)
    # Rounding must not let one process take steps that another leaves out.
    collectives.broadcast([scores])
    return StepsJudgement(*scores.cpu().numpy())


def _scores(network: DyGenePT, trainer: Trainer, held: StartData, *, spares: bool) -> DoubleArray:
    """Return the mean pearson_delta_top20 of each perturbation over its cell types.

    Sparing averages over fewer control cells, and predicts the top-DE genes alone where the decoder
    allows it, which is the same but for rounding.
    """
    types = held.controls.cell_type_codes[trainer.positions]
    n_cells = CELLS_OF_MANY if spares else CELLS_PER_TYPE
    few = [trainer.positions[types == code][:n_cells] for code in np.unique(types)]
    conditions, rows = held.conditions, held.rows()
    positions, device = np.concatenate(few), trainer.device
    with autocast(trainer.options, device):
        if spares and can_predict_top_genes(network):
            network.eval()
            deltas = predict_top_genes(
                network, conditions, controls=held.controls, positions=positions, device=device
            )
        else:
            deltas = predict_means(
                network,
                gene_indices=conditions.gene_indices,
                cell_types=conditions.cell_types,
                controls=held.controls,
                positions=positions,
                device=device,
            ).deltas
    r = pearson_delta_de(deltas, conditions.deltas, conditions.de_indices).numpy()
    return rows.summed(r) / rows.summed(np.ones(len(r)))
