"""What a fitted model settled on itself, for its records: its start, its epochs, their effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch

from dygenept.machine import processes
from dygenept.model.conditions import IndexArray
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import predict_means
from dygenept.model.start.closed_form import ClosedFormStart
from dygenept.model.start.features import StartData
from dygenept.model.training.loop import History
from dygenept.plugin.interfaces.offers import Chosen

# Few suffice: what steps change differs little between control cells, and this must cost little.
CELLS_PER_TYPE = 4
CONDITIONS_PER_TYPE = 200


@dataclass(frozen=True, slots=True)
class StepsEffect:
    """What gradient steps change in the predictions of train and validation conditions.

    Attributes:
        data: The conditions, at most 200 of each cell type, evenly spaced, and the pool.
        positions: Control cells that these predictions average over, at most 4 per cell type.
        changes: Predicted mean changes before the first step, (n, G).
    """

    data: StartData
    positions: IndexArray
    changes: torch.Tensor

    @classmethod
    def before(cls, network: DyGenePT, data: StartData, positions: IndexArray) -> StepsEffect:
        """Predict before the first step; nothing is drawn, and the network stays as it is."""
        types = data.controls.cell_type_codes[positions]
        few = [positions[types == code][:CELLS_PER_TYPE] for code in np.unique(types)]
        kept = np.concatenate(few)
        data = replace(data, conditions=data.conditions.take(evenly(data.conditions.cell_types)))
        return cls(data, kept, _predicted_changes(network, data, kept))

    def after(self, network: DyGenePT, history: History) -> float | None:
        """Return the share of the prediction's variance that gradient steps changed.

        Returns:
            var(after - before) / var(after), each over these conditions and all genes of the
            predicted mean changes: 0 where the kept weights are those before the first step; above
            1 where steps replaced what was there. None where the prediction has no variance.
        """
        if not history.best_epoch:
            return 0.0
        changes = _predicted_changes(network, self.data, self.positions)
        variance = float(changes.double().var(correction=0))
        moved = float((changes.double() - self.changes.double()).var(correction=0))
        return moved / variance if variance > 0 else None


def evenly(cell_types: IndexArray, at_most: int = CONDITIONS_PER_TYPE) -> IndexArray:
    """Return the positions of at most so many conditions of each cell type, in order."""
    chosen = []
    for code in np.unique(cell_types):
        of_type = np.flatnonzero(cell_types == code)
        chosen.append(of_type[:: -(-len(of_type) // at_most)])
    return np.sort(np.concatenate(chosen))


def _predicted_changes(network: DyGenePT, data: StartData, positions: IndexArray) -> torch.Tensor:
    return predict_means(
        network,
        gene_indices=data.conditions.gene_indices,
        cell_types=data.conditions.cell_types,
        controls=data.controls,
        positions=positions,
        device=data.device,
    ).deltas


def member_choices(
    start: ClosedFormStart | None,
    history: History,
    changed_share: float | None,
    contributions: Mapping[str, float] = MappingProxyType({}),
) -> Chosen:
    """Name what one member settled on.

    Args:
        start: Its closed-form start; None without one.
        history: How its training went.
        changed_share: What ``StepsEffect.after`` returned.
        contributions: What ``facet_contribution`` and ``cell_contributions`` returned.

    Returns:
        ``identity_share``, ``penalty`` of the readout, ``typical_exponent`` (the power of its norm
        that a change is divided by in the typical change: 1 for inverse norms, 0 for the plain
        mean) and ``facet_tuning_steps``, where it was started in closed form; with several cell
        types
        ``typical_by_type`` and ``readout_by_type`` too (see ``Readout.by_type``);
        ``epochs_trained``; ``epochs_kept``, the epochs behind the kept weights; ``best_epoch``, the
        epoch with the best validation score, where there is one; ``share_changed_by_steps``, where
        it is defined; ``trained_in_processes`` where several shared the training, each with dropout
        of its own; and ``contributions``.
    """
    chosen: dict[str, float | int | str] = {}
    if start is not None:
        if start.identity_share is not None:
            chosen["identity_share"] = start.identity_share
        chosen["penalty"] = float(start.readout.penalty)
        chosen["typical_exponent"] = float(start.readout.exponent)
        chosen.update(start.readout.by_type())
        chosen["facet_tuning_steps"] = start.facet_tuning_steps
    chosen["epochs_trained"] = len(history.losses)
    chosen["epochs_kept"] = history.best_epoch
    if history.scores:
        is_start_best = not history.best_epoch
        chosen["best_epoch"] = 0 if is_start_best else int(np.argmax(history.scores)) + 1
    if changed_share is not None:
        chosen["share_changed_by_steps"] = changed_share
    if (n_processes := processes.current().size) > 1:
        chosen[processes.TRAINED_IN] = n_processes
    chosen.update(contributions)
    return chosen


def joined_choices(members: Sequence[Chosen]) -> dict[str, float | int | str]:
    """Join the choices of an ensemble: names end in ``.1``, ``.2`` … where there are several."""
    if len(members) == 1:
        return dict(members[0])
    return {
        f"{name}.{number}": value
        for number, chosen in enumerate(members, start=1)
        for name, value in chosen.items()
    }
