"""What steps on a table start from: the closed form, the genes' means alone, or what validates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dygenept.model.effects.fitted_start import FittedStart, Start
from dygenept.model.effects.gradients import Steps
from dygenept.model.effects.pair_network import PairNetwork
from dygenept.model.effects.pairs import Pairs
from dygenept.model.effects.smoother import EffectSmoother
from dygenept.model.training.options import TableOptions
from dygenept.plugin.interfaces.offers import Chosen

NOT_JUDGED = (
    "too few pairs are held out to judge gradient steps by, so none are taken, and without the "
    "closed form every perturbation is predicted as the genes' means"
)


@dataclass(frozen=True, slots=True)
class TableStart:
    """What a network of a table is trained from.

    Attributes:
        is_closed_form: Whether it is the closed form; else it is each gene's mean.
        fitted: What conditions are predicted from.
        pairs: The measured pairs, with what the start leaves of perturbations it has not seen.
        chosen: What was settled on before any step.
        options: How networks are trained from it.
    """

    is_closed_form: bool
    fitted: FittedStart
    pairs: Pairs
    chosen: Chosen
    options: TableOptions


@dataclass(frozen=True, slots=True)
class TrainedFrom:
    """A start, and what steps from it led to.

    Attributes:
        start: Where they began.
        steps: How they went.
        network: The network that took them; None where none was built.
    """

    start: TableStart
    steps: Steps
    network: PairNetwork | None


def starts_of(smoother: EffectSmoother, options: TableOptions) -> tuple[TableStart, ...]:
    """Return the starts that are trained from: one, or both for ``auto``, the closed form first.

    Args:
        smoother: The closed form, fitted.
        options: ``warm_start`` says which.
    """
    tried = {True: (True,), False: (False,), "auto": (True, False)}[options.warm_start]
    return tuple(
        _closed_form(smoother, options) if of else _means(smoother, options) for of in tried
    )


def best_of(trained: Sequence[TrainedFrom]) -> tuple[TrainedFrom, Chosen]:
    """Return the one that is kept, and what is to be recorded of the choice.

    The closed form stays unless the mean error over genes falls without it by more than
    ``standard_errors`` of the paired differences.

    Args:
        trained: One, which is returned, or both, the closed form first.
    """
    if len(trained) == 1:
        return trained[0], {}
    closed, other = trained
    before, after = closed.steps.kept_errors, other.steps.kept_errors
    if not len(before):
        return closed, {}
    errors = {
        "validation_error_from_closed_form": float(before.mean()),
        "validation_error_from_means": float(after.mean()),
    }
    gains = before - after
    least = closed.start.options.standard_errors * float(gains.std(ddof=1)) / len(gains) ** 0.5
    return (other if gains.mean() > least else closed), errors


def _closed_form(smoother: EffectSmoother, options: TableOptions) -> TableStart:
    pairs = Pairs.of(smoother.measured, smoother.left_out)
    return TableStart(True, smoother.fitted, pairs, smoother.chosen, options)


def _means(smoother: EffectSmoother, options: TableOptions) -> TableStart:
    """Leave out all that like perturbations tell; steps from there are always added."""
    means = smoother.left_out.means
    pairs = Pairs.of(smoother.measured, Start(means, np.zeros_like(means)))
    always = replace(options, standard_errors=-math.inf)
    return TableStart(False, replace(smoother.fitted, scale=0.0), pairs, {}, always)
