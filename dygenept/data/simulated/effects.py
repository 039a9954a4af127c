"""The planted effects: what a perturbation changes, from five sources in stated shares.

The log-fold change of a target is its strength times a sum of unit directions. One is common to all
perturbations: a response that moves more genes than the others, as slower growth or stress does,
and that grows faster than the rest of the effect, with a factor of each target's own. One follows
the GO terms of the gene: in a cell of state s, the known facet that stands highest in the priority
order of s is responsible and carries 85 % of it, and the gene's other programs share the rest. One
follows the gene's neighbourhood in STRING, one a hidden program that no text or graph names, and
one is the gene's own. Strengths have a heavy tail, and most single perturbations change next to
nothing, as in real screens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from dygenept.data.simulated.memberships import Memberships
from dygenept.data.simulated.profiles import Modality
from dygenept.data.simulated.programs import GenePrograms
from dygenept.data.simulated.targets import STATE_SHARES, Targets
from dygenept.data.simulated.vectors import (
    OutputGenes,
    draw_directions,
    draw_shared_direction,
    n_changed_genes,
)
from dygenept.types import BoolArray, DoubleArray, FloatArray, IntArray

# Shares of the squared log-fold changes of targets that are in a program of every source; what a
# target has no program for is its own.
SOURCE_SHARES: Mapping[str, float] = MappingProxyType(
    {"common": 0.45, "go_text": 0.21, "string_graph": 0.125, "hidden": 0.125, "own": 0.09}
)
RESPONSIBLE_SHARE = 0.85
# Norms of the parts of a program of GO; squares sum to 1.
FACET_PART, PROGRAM_PART = 0.5, float(np.sqrt(0.75))
# Root mean square log-fold change, over the genes that a direction changes, at strength 1.
EFFECT_SIZE = 2.0
STRENGTH_SPREAD, MAX_STRENGTH = 0.9, 4.0
# So many targets change next to nothing: they are weak, and of these a part is idle.
NULL_SHARE = 0.69
WEAK_STRENGTH, WEAK_SPREAD = 0.185, 0.25
IDLE_PART, IDLE_STRENGTH = 0.3, 0.1
# A screen with fewer cells a perturbation is given effects that stand out of their noise as far.
CELLS_AT_SIZE = 355  # As in Norman et al.
# The shared response moves more genes than other directions do, and not a few of them most.
RESPONSE_CHANGED_SHARE, RESPONSE_READINESS = 0.05, 0.3
# It grows with this power of the strength, with a log-normal factor of each target's own.
RESPONSE_POWER, RESPONSE_SPREAD = 1.45, 0.3
INTERACTION_MEAN, INTERACTION_SPREAD = -0.25, 0.35
# No gene changes further than this, in natural log, besides a target's own expression.
MAX_LOG_FOLD = 3.0
TARGET_LOG_FOLD: dict[Modality, float] = {
    "activation": 1.5,
    "interference": -1.5,
    "knockout": -0.5,
}


@dataclass(frozen=True, slots=True)
class PlantedEffects:
    """Log-fold changes (natural log of the mean count) of every condition.

    Programs are those of GO, then the neighbourhoods, then the hidden ones.

    Attributes:
        program_effects: Direction of each program, of unit length, (n_programs, G).
        weights: Weight of each program in each target's effect, (n_targets, S, n_programs).
        singles: Effect of each target, (n_targets, S, G).
        doubles: Effect of each pair: sum plus interaction, (n_doubles, S, G).
        strength: Strength of each target, (n_targets,).
        response: Strength of the shared response to each target, (n_targets,).
        shares: Share of each source in the squared log-fold changes of all targets.
    """

    program_effects: DoubleArray
    weights: DoubleArray
    singles: FloatArray
    doubles: FloatArray
    strength: DoubleArray
    response: DoubleArray
    shares: Mapping[str, float]


def plant_effects(
    targets: Targets,
    programs: GenePrograms,
    memberships: Memberships,
    *,
    output: OutputGenes,
    factor: float = 1.0,
    rng: np.random.Generator,
) -> PlantedEffects:
    """Draw directions and put every perturbation's log-fold change together.

    The interaction of a pair is ``sum over programs p of γ_p · sqrt(w_a[p] · w_b[p]) · v_p``:
    symmetric, and zero where the two genes share no program. The effect of a perturbation on its
    own target's expression is not part of this; ``TARGET_LOG_FOLD`` adds it.

    Args:
        targets: The perturbed genes.
        programs: Programs of GO of all genes.
        memberships: Neighbourhoods and hidden programs of the targets.
        output: What decides which genes a direction changes.
        factor: How much stronger all effects are than drawn; see ``size_factor``.
        rng: Source of draws.
    """
    n_targets, n_states = len(targets.positions), len(STATE_SHARES)
    by_facet = draw_directions(programs.is_known.shape[1], output, rng=rng)
    go = FACET_PART * by_facet[programs.term_facets]
    go += PROGRAM_PART * draw_directions(len(programs.terms), output, rng=rng)
    graph = draw_directions(len(memberships.centres), output, rng=rng)
    hidden = draw_directions(memberships.n_hidden, output, rng=rng)
    common = draw_shared_direction(
        output, changed_share=RESPONSE_CHANGED_SHARE, readiness=RESPONSE_READINESS, rng=rng
    )
    own = draw_directions(n_targets, output, rng=rng)
    strength = factor * draw_strengths(n_targets, rng=rng)
    response = draw_responses(strength, rng=rng)
    n_changed = n_changed_genes(len(output.preference))
    unit = EFFECT_SIZE * np.sqrt(n_changed)
    size = unit * strength  # (n_targets,)

    weights_go = _go_weights(targets, programs)
    length = np.linalg.norm(weights_go @ go, axis=2, keepdims=True)
    weights_go *= np.sqrt(SOURCE_SHARES["go_text"]) / np.where(length > 0, length, 1.0)
    weights_graph = np.sqrt(SOURCE_SHARES["string_graph"]) * _one_hot(
        memberships.neighbourhood, len(graph)
    )
    weights_hidden = np.sqrt(SOURCE_SHARES["hidden"]) * _one_hot(memberships.hidden, len(hidden))
    per_state = (n_targets, n_states)
    parts = [weights_go]
    for weights in (weights_graph, weights_hidden):
        parts.append(np.broadcast_to(weights[:, None], (*per_state, weights.shape[1])))
    weights = np.concatenate(parts, axis=2) * size[:, None, None]
    directions = np.concatenate([go, graph, hidden])
    shares = _target_shares(targets, memberships)
    # Parts of an effect that no program carries, and their sizes, (n_targets,).
    shared, alone = unit * response * np.sqrt(shares["common"]), size * np.sqrt(shares["own"])
    apart = shared[:, None] * common + alone[:, None] * own
    singles = (weights @ directions + apart[:, None]).astype(np.float32)
    gamma = rng.normal(INTERACTION_MEAN, INTERACTION_SPREAD, size=len(directions))
    left, right = targets.pairs.T
    overlap = gamma * np.sqrt(weights[left] * weights[right])
    interaction = (overlap @ directions).astype(np.float32)
    # Squared strengths and squared responses sum to the same, so these sum to 1.
    squared = dict.fromkeys(shares, strength**2) | {"common": response**2}
    whole = float(strength @ strength)
    return PlantedEffects(
        program_effects=directions,
        weights=weights,
        singles=singles,
        doubles=singles[left] + singles[right] + interaction,
        strength=strength,
        response=response,
        shares={source: float(of @ shares[source]) / whole for source, of in squared.items()},
    )


def saturated(log_fold: FloatArray) -> FloatArray:
    """Bend log-fold changes so that none passes ``MAX_LOG_FOLD``; small ones stay as they are."""
    bent: FloatArray = MAX_LOG_FOLD * np.tanh(log_fold / MAX_LOG_FOLD, dtype=np.float32)
    return bent


def size_factor(cells_per_perturbation: float) -> float:
    """How much stronger effects are in a screen with few cells a perturbation; at least 1.

    The noise of a mean falls with the square root of its cells.
    """
    return max(1.0, float(np.sqrt(CELLS_AT_SIZE / cells_per_perturbation)))


def draw_strengths(n_targets: int, *, rng: np.random.Generator) -> DoubleArray:
    """Draw how strong each target's effect is: log-normal, next to nothing for ``NULL_SHARE``.

    Returns:
        Strengths, 1 in the median of those that are not weak, (n_targets,).
    """
    strength = np.exp(rng.normal(0.0, STRENGTH_SPREAD, size=n_targets))
    weak = WEAK_STRENGTH * np.exp(rng.normal(0.0, WEAK_SPREAD, size=n_targets))
    order = rng.permutation(n_targets)
    is_weak = order[: round(NULL_SHARE * n_targets)]
    strength[is_weak] = weak[is_weak]
    strength[is_weak[: round(IDLE_PART * len(is_weak))]] *= IDLE_STRENGTH
    return np.minimum(strength, MAX_STRENGTH)


def draw_responses(strength: DoubleArray, *, rng: np.random.Generator) -> DoubleArray:
    """Draw how strong the shared response to each target is, (n_targets,).

    It grows with the power ``RESPONSE_POWER`` of the target's strength, times a log-normal factor,
    and is as large as the strengths in the mean of squares.

    Args:
        strength: Strength of each target's effect, (n_targets,).
        rng: Source of draws.
    """
    factor = np.exp(rng.normal(0.0, RESPONSE_SPREAD, size=len(strength)))
    response = factor * strength**RESPONSE_POWER
    scale = np.linalg.norm(strength) / np.linalg.norm(response)
    return np.asarray(scale * response)


def _go_weights(targets: Targets, programs: GenePrograms) -> DoubleArray:
    """Weights of a target's programs of GO, which sum to 1, (n_targets, S, n_programs)."""
    n_targets, n_states = len(targets.positions), len(STATE_SHARES)
    member = programs.program[targets.positions]  # (n_targets, K)
    weights = np.zeros((n_targets, n_states, len(programs.terms)))
    for state in range(n_states):
        target, facet = np.nonzero(member >= 0)
        answers = facet == targets.responsible[target, state]
        n_others = np.bincount(target, weights=~answers, minlength=n_targets)[target]
        weights[target, state, member[target, facet]] = np.where(
            answers,
            np.where(n_others > 0, RESPONSIBLE_SHARE, 1.0),
            (1.0 - RESPONSIBLE_SHARE) / np.maximum(n_others, 1),
        )
    return weights


def _target_shares(targets: Targets, memberships: Memberships) -> dict[str, DoubleArray]:
    """Share of each source in each target's squared effect, (n_targets,) a source."""
    has: dict[str, BoolArray] = {
        "go_text": targets.responsible[:, 0] >= 0,
        "string_graph": memberships.neighbourhood >= 0,
    }
    n_targets = len(targets.positions)
    always = np.ones(n_targets, dtype=np.bool_)
    shares = {
        source: np.where(has.get(source, always), share, 0.0)
        for source, share in SOURCE_SHARES.items()
    }
    shares["own"] += 1.0 - np.sum(list(shares.values()), axis=0)
    return shares


def _one_hot(group: IntArray, n_groups: int) -> DoubleArray:
    """One row per target with a 1 at its group, zeros where the group is -1, (n, n_groups)."""
    found = np.zeros((len(group), n_groups))
    rows = np.flatnonzero(group >= 0)
    found[rows, group[rows]] = 1.0
    return found
