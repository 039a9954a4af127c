"""A closed-form start: the decoder's output map fitted to train changes before any step.

Fine-tuning from a fitted readout distorts the features less than from a random one (Kumar et al.
2022, arXiv:2202.10054). Choices are made by errors of train perturbations that are left out, so
that nothing held out is read. Facets count for something beside the genes' own codes only where
they help by more than chance, and weak perturbations as well as strong ones; elsewhere the start is
the linear model of the baseline ``linear_loo``, whose typical change has fewer weighings to choose
from (see ``typical.Weighing``). Where no gene is perturbed in two perturbations, untuned codes are
alike by chance alone. Then the start is the typical change, and after gradient steps, if any, genes
that were perturbed keep their own measured change (``measured``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dygenept.model.conditions import IndexArray
from dygenept.model.network import DyGenePT
from dygenept.model.start.facet_tuning import FacetCandidate, choose_facets
from dygenept.model.start.features import StartData, mean_features, mean_shared_features
from dygenept.model.start.left_out import MANY_PERTURBATIONS, Targets
from dygenept.model.start.measured import can_keep_measured, keep_measured, read_no_codes
from dygenept.model.start.readout import PENALTIES, Readout, ReadoutChoice
from dygenept.model.type_readout import type_readout
from dygenept.plugin.interfaces import HasIdentityShare, LinearReadout, ReadsCodesOf

logger = logging.getLogger(__name__)

CELLS_PER_TYPE = 16
# From many perturbations on, features that are averaged over fewer cells do.
CELLS_OF_MANY = 4


@dataclass(frozen=True, slots=True)
class ClosedFormStart:
    """What a start fitted and chose.

    Attributes:
        readout: The fit, which the decoder now starts from.
        identity_share: Share of the genes' own codes; None where the gene encoder has none.
        facet_tuning_steps: Steps that the facet vectors were tuned for.
        keeps_measured: What was measured of train genes is added at the end, with the penalty of
            the readout (see ``measured``); no codes are read until then.
    """

    readout: Readout
    identity_share: float | None
    facet_tuning_steps: int
    keeps_measured: bool = False


@torch.no_grad()
def start_in_closed_form(
    network: DyGenePT, data: StartData, rng: np.random.Generator
) -> ClosedFormStart | None:
    """Fit the output map of a network to the mean changes of train conditions.

    Args:
        network: Changed in place: its decoder, and its gene encoder's identity share and facet
            vectors.
        data: Train conditions and control cells.
        rng: Draws the control cells that features are averaged over.

    Returns:
        What was fitted, or None for a decoder without a linear readout, which keeps its first
        weights.
    """
    decoder = network.decoder
    if not isinstance(decoder, LinearReadout):
        logger.info(
            "decoder %s has no linear readout; no closed-form start", type(decoder).__name__
        )
        return None
    network.eval()
    if isinstance(network.gene_encoder, ReadsCodesOf):
        network.gene_encoder.read_codes_of(None)
    data = data.keeping_states()
    positions = feature_cells(data, rng)
    targets = Targets.of(data.conditions.deltas.double().numpy(), data.rows())
    choices = _choices_by_share(network, data, targets, positions)
    candidates = [FacetCandidate(fit.penalty, fit.prior, share) for share, fit in choices]
    with torch.enable_grad():
        chosen = choose_facets(network, data, rng, candidates=candidates, targets=targets)
    share, choice = choices[chosen.candidate]
    keeps_measured = False
    if chosen.n_steps:
        choice = _fit_choice(network, data, targets, positions, (chosen.penalty,))
    elif _says_nothing(share, choice, data):
        keeps_measured = can_keep_measured(network)
        choice = _without_features(network, choice)
    logger.debug("readout: penalty %g, identity share %s", choice.penalty, share)
    readout = _installed(network, choice, data)
    return ClosedFormStart(readout, share, chosen.n_steps, keeps_measured)


@torch.no_grad()
def refit_readout(
    network: DyGenePT, data: StartData, rng: np.random.Generator, start: ClosedFormStart
) -> None:
    """Fit the output map to other conditions; all else that a start settles on stays as it is.

    Args:
        network: Started in closed form before.
        data: The conditions and control cells.
        rng: Draws the control cells that features are averaged over.
        start: What the start settled on.
    """
    network.eval()
    targets = Targets.of(data.conditions.deltas.double().numpy(), data.rows())
    positions = feature_cells(data, rng)
    choice = _fit_choice(network, data, targets, positions)
    if not start.facet_tuning_steps and _says_nothing(start.identity_share, choice, data):
        choice = _without_features(network, choice)
    _installed(network, choice, data)


def keep_measured_of(
    network: DyGenePT,
    data: StartData,
    rng: np.random.Generator,
    start: ClosedFormStart,
    *,
    is_trained: bool,
) -> None:
    """Let train genes keep what was measured of them, where the start has left it for the end.

    Args:
        network: Started in closed form, and trained where it is to be.
        data: What the start learned from.
        rng: Draws the control cells that features are averaged over.
        start: What the start settled on.
        is_trained: Its weights are not those of the start.
    """
    if start.keeps_measured:
        positions, penalty = feature_cells(data, rng), start.readout.penalty
        keep_measured(network, data, positions, penalty=penalty, is_trained=is_trained)


def _says_nothing(share: float | None, choice: ReadoutChoice, data: StartData) -> bool:
    """Tell whether untuned features of a perturbation say nothing of others.

    They are codes of genes alone, each in one perturbation alone, and there is a typical change
    that predicts the others. With a smaller share texts are read, and the norm of the gene encoder
    would scale up texts whose code is missing beside them.
    """
    return share == 1.0 and choice.direction is not None and not data.has_shared_genes()


def _without_features(network: DyGenePT, choice: ReadoutChoice) -> ReadoutChoice:
    """Leave the typical change, exactly where codes can be left unread until the end."""
    if not can_keep_measured(network):
        return choice.typical_alone()
    read_no_codes(network)
    return choice.of_nothing()


def feature_cells(data: StartData, rng: np.random.Generator) -> IndexArray:
    """Draw the control cells that features are averaged over, at most 16 of each cell type.

    From 200 perturbations on, every fourth of these.
    """
    drawn = data.controls.sample(CELLS_PER_TYPE, rng)
    if data.rows().n_perturbations < MANY_PERTURBATIONS:
        return drawn
    types = data.controls.cell_type_codes[drawn]
    step = CELLS_PER_TYPE // CELLS_OF_MANY
    return np.concatenate([drawn[types == code][::step] for code in np.unique(types)])


def _installed(network: DyGenePT, choice: ReadoutChoice, data: StartData) -> Readout:
    """Solve for the readout and let the network have it."""
    readout = choice.solved()
    network.by_type = type_readout(readout, data.device)
    assert isinstance(network.decoder, LinearReadout)
    network.decoder.set_readout(torch.from_numpy(readout.weights).float().to(data.device))
    return readout


def _fit_choice(
    network: DyGenePT,
    data: StartData,
    targets: Targets,
    positions: IndexArray,
    penalties: Sequence[float] = PENALTIES,
) -> ReadoutChoice:
    """Choose the readout of the features as they are now."""
    states = data.encode_cells(network, positions)  # (C, D)
    shared = mean_shared_features(network.decoder, states)  # (F,)
    features = mean_features(network, data, positions)  # (n, F)
    direction = None if shared is None else shared.cpu().numpy()
    return ReadoutChoice.of(features, targets, direction, penalties)


def _choices_by_share(
    network: DyGenePT, data: StartData, targets: Targets, positions: IndexArray
) -> list[tuple[float | None, ReadoutChoice]]:
    """Choose the readout under the identity shares that held-out perturbations are to compare.

    Returns:
        The largest share, that of the linear model, and of the others the one that predicts
        left-out perturbations best; None as the only one of a gene encoder without shares.
    """
    encoder = network.gene_encoder
    if not isinstance(encoder, HasIdentityShare):
        return [(None, _fit_choice(network, data, targets, positions))]
    fits = []
    for share in encoder.identity_shares:
        encoder.set_identity_share(share)
        fits.append((float(share), _fit_choice(network, data, targets, positions)))
    reference = max(fits, key=lambda fit: fit[0])
    others = [fit for fit in fits if fit is not reference]
    return [reference, *sorted(others, key=lambda fit: fit[1].errors.mean())[:1]]
