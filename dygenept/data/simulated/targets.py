"""The perturbed genes: which are perturbed, how their facets rank, and which are paired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.data.simulated.profiles import SimulationProfile
from dygenept.data.simulated.programs import GenePrograms
from dygenept.errors import ConfigError
from dygenept.types import BoolArray, IntArray

STATE_SHARES: tuple[float, ...] = (0.55, 0.30, 0.15)
UNKNOWN_TARGET_SHARE = 0.03
FACETS_TO_WEIGH = 3
PRIORITY_SPREAD = 2.0


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
