"""Simulated data sets: seeded stand-ins with the shape of a real one and known, planted effects.

A model that reads gene knowledge can win on them, and what it should find is known. Nothing made
here is real, and whatever is computed from it is labelled simulated.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.simulated.counts import (
    CountModel,
    draw_cells,
    draw_count_model,
    draw_expression,
)
from dygenept.data.simulated.effects import (
    TARGET_LOG_FOLD,
    PlantedEffects,
    plant_effects,
    saturated,
    size_factor,
)
from dygenept.data.simulated.expected import expected_expression
from dygenept.data.simulated.memberships import Memberships, draw_memberships
from dygenept.data.simulated.profiles import (
    SIMULATION_VERSION,
    SimulationProfile,
    profile_named,
)
from dygenept.data.simulated.programs import GenePrograms, assign_programs, programs_per_facet
from dygenept.data.simulated.targets import STATE_SHARES, Targets, draw_targets
from dygenept.data.simulated.truth import PlantedTruth
from dygenept.data.simulated.vectors import draw_output_genes
from dygenept.errors import ConfigError
from dygenept.types import (
    CONTROL_LABEL,
    FACETS,
    DoubleArray,
    FloatArray,
    IntArray,
    Progress,
    Runtime,
)

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.knowledge.genes.tables import GeneTables

# Concentration of the cells per perturbation around their mean; real screens spread about as much.
CELL_COUNT_CONCENTRATION = 8.0
TARGETS_IN_VAR_SHARE = 0.4
FEWEST_CELLS = 10


@dataclass(frozen=True, slots=True)
class SimulatedData:
    """A simulated data set in memory.

    Attributes:
        profile: Its shape, shrunk.
        scale: Scale that it was shrunk by.
        seed: Seed that it was drawn with.
        expression: CSR, (N, G), float32, log1p scale.
        gene_ids: Ensembl ids of the output genes, (G,).
        gene_symbols: Symbols of the output genes, (G,).
        condition_codes: Index into ``truth.labels`` of each cell, -1 for control, (N,).
        truth: What was planted.
        gene_tables_sha256: Hash of the gene tables that the programs were read from.
    """

    profile: SimulationProfile
    scale: float
    seed: int
    expression: sparse.csr_matrix
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    condition_codes: IntArray
    truth: PlantedTruth
    gene_tables_sha256: str


def simulate(
    profile: str, *, scale: float = 1.0, seed: int | None = None, runtime: Runtime | None = None
) -> SimulatedData:
    """Make a simulated data set.

    The same profile, scale and seed give the same cells, whatever the number of threads.

    Args:
        profile: ``norman``, ``adamson``, ``dixit``, ``k562`` or ``rpe1``.
        scale: In (0, 1]; see ``SimulationProfile.scaled``.
        seed: Non-negative; the draw that ships where left out (``SimulationProfile.draw`` at full
            size, 0 at smaller scales).
        runtime: Where progress is reported; nowhere when left out.

    Raises:
        ConfigError: If the profile is unknown, the scale is outside (0, 1], or the seed is
            negative.
    """
    from dygenept.knowledge.genes.tables import load_gene_tables

    runtime = runtime or Runtime()
    shape = profile_named(profile).scaled(scale)
    if seed is None:
        seed = shape.default_seed(scale)
    if seed < 0:
        raise ConfigError(f"seed of sim:{profile} is {seed}; allowed: 0 and above")
    root = np.random.SeedSequence([seed, zlib.crc32(profile.encode()), SIMULATION_VERSION])
    # One stream per job, so that a change in one does not change the draws of the others.
    target_seed, gene_seed, effect_seed, cell_seed, count_seed, group_seed = root.spawn(6)
    tables = load_gene_tables()
    programs = assign_programs(tables, n_per_facet=programs_per_facet(shape.n_singles))
    targets = draw_targets(shape, programs, rng=np.random.default_rng(target_seed))
    names = tuple(programs.genes[position] for position in targets.positions)
    memberships = draw_memberships(names, rng=np.random.default_rng(group_seed))
    gene_rng = np.random.default_rng(gene_seed)
    output = _choose_output_genes(shape, programs, targets, rng=gene_rng)
    model = draw_count_model(shape.n_genes, n_states=len(STATE_SHARES), rng=gene_rng)
    effects = plant_effects(
        targets,
        programs,
        memberships,
        output=draw_output_genes(model.log_mean, rng=gene_rng),
        factor=size_factor(profile_named(profile).cells_per_perturbation),
        rng=np.random.default_rng(effect_seed),
    )
    shares = np.array(STATE_SHARES)
    labels, log_fold = _conditions(shape, programs, targets, effects, output=output)
    program_effects = effects.program_effects.astype(np.float32)
    strength, response, shares_of = effects.strength, effects.response, effects.shares
    mean_log_fold = np.einsum("csg,s->cg", log_fold, shares).astype(np.float32)
    group_means = _group_means(model, log_fold)
    # Each of these is a fifth of a full-size data set; the cells need the room.
    del effects, log_fold
    cell_rng = np.random.default_rng(cell_seed)
    condition_codes = _assign_cells(shape, rng=cell_rng)
    state_codes = cell_rng.choice(len(STATE_SHARES), size=shape.n_cells, p=STATE_SHARES)
    expression = draw_expression(
        model,
        group_means,
        draw_cells(
            ((condition_codes + 1) * len(STATE_SHARES) + state_codes).astype(np.int32),
            rng=cell_rng,
        ),
        seed=count_seed,
        report=lambda done, total: runtime.report(Progress("simulate", done, total)),
    )
    expected = expected_expression(model, group_means, shares=shares)
    return SimulatedData(
        profile=shape,
        scale=scale,
        seed=seed,
        expression=expression,
        gene_ids=_ensembl_ids(tables, programs, output),
        gene_symbols=tuple(programs.genes[position] for position in output),
        condition_codes=condition_codes,
        gene_tables_sha256=tables.sha256,
        truth=PlantedTruth(
            labels=labels,
            delta=(expected[1:] - expected[0]).astype(np.float32),
            log_fold=mean_log_fold,
            facet_names=FACETS,
            target_genes=names,
            responsible=_most_responsible(targets.responsible, shares),
            responsible_by_state=targets.responsible,
            priority=targets.priority,
            state_shares=shares,
            state_codes=state_codes.astype(np.int8),
            program_terms=_program_names(programs, memberships),
            program_facets=_padded(programs.term_facets, len(program_effects)),
            program_effects=program_effects,
            target_programs=programs.program[targets.positions],
            target_neighbourhood=memberships.neighbourhood,
            target_hidden=memberships.hidden,
            strength=strength,
            response=response,
            source_names=tuple(shares_of),
            source_shares=np.array(list(shares_of.values())),
        ),
    )


def _choose_output_genes(
    shape: SimulationProfile,
    programs: GenePrograms,
    targets: Targets,
    *,
    rng: np.random.Generator,
) -> IntArray:
    """Draw the output genes, some targets among them, as positions in ``programs.genes``."""
    n_measured = min(round(TARGETS_IN_VAR_SHARE * len(targets.positions)), shape.n_genes // 2)
    measured = rng.choice(targets.positions, size=n_measured, replace=False)
    others = np.setdiff1d(np.arange(len(programs.genes)), targets.positions)
    others = rng.choice(others, size=shape.n_genes - n_measured, replace=False)
    return np.sort(np.concatenate([measured, others])).astype(np.int32)


def _program_names(programs: GenePrograms, memberships: Memberships) -> tuple[str, ...]:
    """Name every program: GO ids, then ``string:GENE``, then ``hidden:1`` and so on."""
    neighbourhoods = (f"string:{gene}" for gene in memberships.centres)
    hidden = (f"hidden:{number + 1}" for number in range(memberships.n_hidden))
    return (*programs.terms, *neighbourhoods, *hidden)


def _padded(facets: IntArray, n_programs: int) -> IntArray:
    """Facet of every program, -1 for one that is not of GO, (n_programs,)."""
    padded = np.full(n_programs, -1, dtype=np.int32)
    padded[: len(facets)] = facets
    return padded


def _ensembl_ids(tables: GeneTables, programs: GenePrograms, output: IntArray) -> tuple[str, ...]:
    """Ensembl ids, each once: an id that two genes share gets the second gene's symbol added."""
    seen: set[str] = set()
    ids = []
    for position in output:
        symbol = programs.genes[position]
        known = tables.ensembl(symbol)
        name = next((name for name in known if name not in seen), f"{known[0]}_{symbol}")
        seen.add(name)
        ids.append(name)
    return tuple(ids)


def _conditions(
    shape: SimulationProfile,
    programs: GenePrograms,
    targets: Targets,
    effects: PlantedEffects,
    *,
    output: IntArray,
) -> tuple[tuple[str, ...], FloatArray]:
    """Label every perturbation and give its log-fold change in each state.

    Returns:
        Labels, sorted, and log-fold changes in their order, (n_conditions, S, G).
    """
    names = [programs.genes[position] for position in targets.positions]
    labels = [f"{name}+{CONTROL_LABEL}" for name in names]
    labels += ["+".join(sorted((names[left], names[right]))) for left, right in targets.pairs]
    log_fold = saturated(np.concatenate([effects.singles, effects.doubles]))
    column = np.searchsorted(output, targets.positions)
    is_measured = output[np.minimum(column, len(output) - 1)] == targets.positions
    own = TARGET_LOG_FOLD[shape.modality]
    hit = np.flatnonzero(is_measured)
    log_fold[hit, :, column[hit]] += own
    for side in targets.pairs.T:
        rows = np.flatnonzero(is_measured[side])
        log_fold[len(names) + rows, :, column[side[rows]]] += own
    order = sorted(range(len(labels)), key=labels.__getitem__)
    return tuple(labels[number] for number in order), log_fold[order]


def _group_means(model: CountModel, log_fold: FloatArray) -> FloatArray:
    """Mean counts of control and every condition in every state, (n_groups, G), float32."""
    baseline = model.log_mean + model.state_shift  # (S, G)
    means = np.empty((len(log_fold) + 1, *baseline.shape), dtype=np.float32)
    means[0] = np.exp(baseline)
    for number, change in enumerate(log_fold, start=1):
        means[number] = np.exp(baseline + change)
    return means.reshape(-1, means.shape[-1])


def _assign_cells(shape: SimulationProfile, *, rng: np.random.Generator) -> IntArray:
    """Say which condition each cell has, in random order; -1 is control."""
    n_spread = shape.n_cells - shape.n_controls - FEWEST_CELLS * shape.n_perturbations
    share = rng.dirichlet(np.full(shape.n_perturbations, CELL_COUNT_CONCENTRATION))
    counts = FEWEST_CELLS + rng.multinomial(n_spread, share)
    codes = np.repeat(np.arange(-1, len(counts)), np.r_[shape.n_controls, counts])
    return rng.permutation(codes).astype(np.int32)


def _most_responsible(responsible: IntArray, shares: DoubleArray) -> IntArray:
    """Facet that is responsible in most cells of each target, -1 for none, (n_targets,)."""
    weight = np.zeros((len(responsible), len(FACETS) + 1))
    for state, share in enumerate(shares):
        weight[np.arange(len(responsible)), responsible[:, state]] += share
    winner = weight.argmax(axis=1)
    return np.where(winner == len(FACETS), -1, winner).astype(np.int32)
