"""The planted effects: which genes are perturbed, which facet answers, what changes.

In a cell of state s, the known facet of the perturbed gene that stands highest in the priority
order of s is responsible and carries 85 % of the effect; the gene's other programs share the
rest. A program is a sparse vector of log-fold changes made of a part common to all programs, a
part common to its facet, and its own part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.data.simulated.profiles import Modality, SimulationProfile
from dygenept.data.simulated.programs import GenePrograms
from dygenept.errors import ConfigError
from dygenept.types import BoolArray, DoubleArray, FloatArray, IntArray

STATE_SHARES: tuple[float, ...] = (0.55, 0.30, 0.15)
RESPONSIBLE_SHARE = 0.85
# Norms of the parts of a program; squares sum to 1.
GLOBAL_PART, FACET_PART, OWN_PART = 0.30, 0.48, 0.82
IDIOSYNCRATIC_PART = 0.25
STRENGTH_SPREAD = 0.3
EFFECT_SIZE = 0.7
UNKNOWN_TARGET_SHARE = 0.03
TARGETS_IN_VAR_SHARE = 0.4
FACETS_TO_WEIGH = 3
PRIORITY_SPREAD = 2.0
INTERACTION_MEAN, INTERACTION_SPREAD = -0.25, 0.35
TARGET_LOG_FOLD: dict[Modality, float] = {
    "activation": 1.5,
    "interference": -1.5,
    "knockout": -0.5,
}


@dataclass(frozen=True, slots=True)
class Targets:
    """The perturbed genes and how the facets rank.

    Attributes:
        positions: Position of each target in ``GenePrograms.genes``, sorted, (n_targets,).
        priority: Facets, the most important first, in each cell state, (S, K).
        responsible: Responsible facet of each target in each state, -1 where the target has no
            known facet, (n_targets, S).
        pairs: Positions in ``positions`` of the genes of each double, (n_doubles, 2).
    """

    positions: IntArray
    priority: IntArray
    responsible: IntArray
    pairs: IntArray


@dataclass(frozen=True, slots=True)
class PlantedEffects:
    """Log-fold changes (natural log of the mean count) of every condition.

    Attributes:
        program_effects: Log-fold vector of each program, (n_programs, G).
        weights: Weight of each program in each target's effect, (n_targets, S, n_programs).
        singles: Effect of each target, (n_targets, S, G).
        doubles: Effect of each pair: sum plus interaction, (n_doubles, S, G).
    """

    program_effects: DoubleArray
    weights: DoubleArray
    singles: FloatArray
    doubles: FloatArray


def draw_priorities(rng: np.random.Generator, *, n_facets: int) -> IntArray:
    """Draw the facet order of each state: the first state's, then ones with some swaps, (S, K)."""
    importance = np.empty(n_facets)
    importance[rng.permutation(n_facets)] = np.arange(n_facets, 0, -1)
    noise = rng.normal(0.0, PRIORITY_SPREAD, size=(len(STATE_SHARES), n_facets))
    noise[0] = 0.0
    return np.argsort(-(importance + noise), axis=1, kind="stable").astype(np.int32)


def responsible_facets(known: BoolArray, priority: IntArray) -> IntArray:
    """Return the first known facet of each gene in each state's order.

    Args:
        known: True where a facet is known, (n, K).
        priority: Facet order of each state, (S, K).

    Returns:
        Facet, -1 where none is known, (n, S).
    """
    in_order = known[:, priority]  # (n, S, K)
    first = in_order.argmax(axis=2)
    facet = np.take_along_axis(priority[None], first[..., None], axis=2)[..., 0]
    is_blank = ~np.any(known, axis=1, keepdims=True)
    return np.where(is_blank, -1, facet).astype(np.int32)


def draw_targets(
    profile: SimulationProfile, programs: GenePrograms, *, rng: np.random.Generator
) -> Targets:
    """Choose target genes so that the programs that answer are shared by several of them.

    Only genes whose responsible facet has a program in every state qualify. Programs take turns,
    each with its genes of three known facets or more first; genes of one facet, with which there
    is nothing to weigh, come last. A small share has no known facet at all.

    Raises:
        ConfigError: If the gene tables have too few genes that qualify.
    """
    priority = draw_priorities(rng, n_facets=programs.is_known.shape[1])
    responsible = responsible_facets(programs.is_known, priority)
    rows = np.arange(len(responsible))
    has_program = (programs.program[rows[:, None], responsible] >= 0).all(axis=1)
    n_known = programs.is_known.sum(axis=1)
    n_unknown = round(UNKNOWN_TARGET_SHARE * profile.n_singles)
    unknown = rng.permutation(np.flatnonzero(n_known == 0))[:n_unknown]
    order = rng.permutation(np.flatnonzero((n_known > 0) & has_program))
    choices = np.minimum(n_known[order], FACETS_TO_WEIGH)
    order = order[np.argsort(-choices, kind="stable")]
    answering = programs.program[order, responsible[order, 0]]
    turn = _occurrence(answering)
    known = order[np.lexsort((turn, n_known[order] < 2))][: profile.n_singles - len(unknown)]
    if len(known) + len(unknown) < profile.n_singles:
        raise ConfigError(
            f"sim:{profile.name} needs {profile.n_singles} target genes, the gene tables have "
            f"{len(known) + len(unknown)} that qualify; use a smaller scale"
        )
    positions = np.sort(np.concatenate([known, unknown])).astype(np.int32)
    chosen = responsible[positions]
    facet = chosen[:, 0]
    program = np.where(facet >= 0, programs.program[positions, facet], -1)
    return Targets(
        positions=positions,
        priority=priority,
        responsible=chosen,
        pairs=_draw_pairs(program, n_pairs=profile.n_doubles, rng=rng),
    )


def _occurrence(values: IntArray) -> npt.NDArray[np.int64]:
    """Number the occurrences of each value in order: [5, 7, 5] gives [0, 0, 1]."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    counts = np.diff(np.r_[starts, len(ranked)])
    occurrence = np.empty(len(values), dtype=np.int64)
    occurrence[order] = np.arange(len(values)) - np.repeat(starts, counts)
    return occurrence


def _draw_pairs(program: IntArray, *, n_pairs: int, rng: np.random.Generator) -> IntArray:
    """Draw distinct pairs, half of them within one program where there are enough."""
    left, right = np.triu_indices(len(program), k=1)
    shared = (program[left] == program[right]) & (program[left] >= 0)
    order = rng.permutation(len(left))
    within = order[shared[order]][: n_pairs // 2]
    others = order[~np.isin(order, within)]
    picked = np.sort(np.concatenate([within, others[: n_pairs - len(within)]]))
    return np.stack([left[picked], right[picked]], axis=1).astype(np.int32)


def plant_effects(
    targets: Targets,
    programs: GenePrograms,
    *,
    base_log_mean: DoubleArray,
    rng: np.random.Generator,
) -> PlantedEffects:
    """Draw program vectors and put every perturbation's log-fold change together.

    The interaction of a pair is ``sum over programs p of γ_p · sqrt(w_a[p] · w_b[p]) · v_p``:
    symmetric, and zero where the two genes share no program. The effect of a perturbation on its
    own target's expression is not part of this; ``target_log_fold`` adds it.

    Args:
        targets: The perturbed genes.
        programs: Programs of all genes.
        base_log_mean: Log mean count of each output gene, (G,); programs prefer expressed genes.
        rng: Source of draws.
    """
    n_programs, n_states = len(programs.terms), len(STATE_SHARES)
    common = _sparse_vectors(1, base_log_mean, rng=rng)
    by_facet = _sparse_vectors(programs.is_known.shape[1], base_log_mean, rng=rng)
    own = _sparse_vectors(n_programs, base_log_mean, rng=rng)
    program_effects = EFFECT_SIZE * (
        GLOBAL_PART * common + FACET_PART * by_facet[programs.term_facets] + OWN_PART * own
    )
    n_targets = len(targets.positions)
    strength = np.exp(rng.normal(0.0, STRENGTH_SPREAD, size=n_targets))
    member = programs.program[targets.positions]  # (n_targets, K)
    weights = np.zeros((n_targets, n_states, n_programs))
    for state in range(n_states):
        target, facet = np.nonzero(member >= 0)
        answers = facet == targets.responsible[target, state]
        n_others = np.bincount(target, weights=~answers, minlength=n_targets)[target]
        share = np.where(
            answers,
            np.where(n_others > 0, RESPONSIBLE_SHARE, 1.0),
            (1.0 - RESPONSIBLE_SHARE) / np.maximum(n_others, 1),
        )
        weights[target, state, member[target, facet]] = share * strength[target]
    private = EFFECT_SIZE * strength[:, None] * _sparse_vectors(n_targets, base_log_mean, rng=rng)
    has_facet = targets.responsible[:, :1] >= 0
    # A gene without knowledge answers with the common part and one of its own.
    private = np.where(
        has_facet,
        IDIOSYNCRATIC_PART * private,
        OWN_PART * private + EFFECT_SIZE * GLOBAL_PART * strength[:, None] * common,
    )
    singles = (weights @ program_effects + private[:, None]).astype(np.float32)
    gamma = rng.normal(INTERACTION_MEAN, INTERACTION_SPREAD, size=n_programs)
    left, right = targets.pairs.T
    overlap = gamma * np.sqrt(weights[left] * weights[right])
    interaction = (overlap @ program_effects).astype(np.float32)
    return PlantedEffects(
        program_effects=program_effects,
        weights=weights,
        singles=singles,
        doubles=singles[left] + singles[right] + interaction,
    )


def _sparse_vectors(
    n_vectors: int, base_log_mean: DoubleArray, *, rng: np.random.Generator
) -> DoubleArray:
    """Draw log-fold vectors over a few, preferably expressed, output genes, (n_vectors, G)."""
    n_genes = len(base_log_mean)
    n_hit = min(n_genes, round(2.5 * np.sqrt(n_genes)))
    # The largest keys of log(u) / w are a weighted draw without replacement, all rows at once.
    preference = np.exp(0.5 * base_log_mean)
    keys = np.log(rng.random((n_vectors, n_genes))) / preference
    hit = np.argpartition(keys, n_genes - n_hit, axis=1)[:, n_genes - n_hit :]
    # The order within a partition depends on the machine's vector width.
    hit = np.sort(hit, axis=1)
    size = np.abs(rng.normal(0.9, 0.4, size=(n_vectors, n_hit)))
    sign = rng.choice([-1.0, 1.0], size=(n_vectors, n_hit))
    vectors = np.zeros((n_vectors, n_genes))
    np.put_along_axis(vectors, hit, size * sign, axis=1)
    return vectors
