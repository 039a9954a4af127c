from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from dygenept.data.simulated.effects import (
    EFFECT_SIZE,
    RESPONSE_CHANGED_SHARE,
    RESPONSE_READINESS,
    RESPONSIBLE_SHARE,
    SOURCE_SHARES,
    PlantedEffects,
    plant_effects,
)
from dygenept.data.simulated.memberships import Memberships, draw_memberships
from dygenept.data.simulated.profiles import PROFILES
from dygenept.data.simulated.programs import (
    MAX_TERM_GENES,
    GenePrograms,
    assign_programs,
    programs_per_facet,
)
from dygenept.data.simulated.targets import (
    Targets,
    draw_priorities,
    draw_targets,
    responsible_facets,
)
from dygenept.data.simulated.vectors import (
    OutputGenes,
    draw_directions,
    draw_output_genes,
    draw_shared_direction,
    n_changed_genes,
)
from dygenept.errors import ConfigError
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.knowledge.graph.links import links_of
from dygenept.types import FACETS

N_GENES = 300


@pytest.fixture(scope="module")
def programs() -> GenePrograms:
    return assign_programs(load_gene_tables(), n_per_facet=3)


@pytest.fixture(scope="module")
def targets(programs: GenePrograms) -> Targets:
    profile = PROFILES["norman"].scaled(0.3)
    return draw_targets(profile, programs, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def names(programs: GenePrograms, targets: Targets) -> tuple[str, ...]:
    return tuple(programs.genes[position] for position in targets.positions)


@pytest.fixture(scope="module")
def memberships(names: tuple[str, ...]) -> Memberships:
    return draw_memberships(names, rng=np.random.default_rng(5))


@pytest.fixture(scope="module")
def output() -> OutputGenes:
    return draw_output_genes(np.linspace(-3.0, 2.0, N_GENES), rng=np.random.default_rng(6))


@pytest.fixture(scope="module")
def effects(
    programs: GenePrograms, targets: Targets, memberships: Memberships, output: OutputGenes
) -> PlantedEffects:
    rng = np.random.default_rng(1)
    return plant_effects(targets, programs, memberships, output=output, rng=rng)


def test_a_gene_belongs_to_its_most_specific_chosen_term(programs: GenePrograms) -> None:
    tables = load_gene_tables()
    assert len(programs.terms) == 3 * len(FACETS)
    checked = 0
    for position in range(0, len(programs.genes), 97):
        facets = tables.planted_facet_terms(programs.genes[position])
        for facet, terms in enumerate(facets):
            chosen = [
                number
                for term in terms
                for number, (name, of) in enumerate(
                    zip(programs.terms, programs.term_facets, strict=True)
                )
                if name == term and of == facet
            ]
            assert programs.program[position, facet] == (chosen[0] if chosen else -1)
            assert programs.is_known[position, facet] == bool(terms)
            checked += bool(chosen)
    assert checked > 20


def test_terms_of_programs_are_neither_broad_nor_rare(programs: GenePrograms) -> None:
    tables = load_gene_tables()
    sizes = [tables.n_genes_of_term(term) for term in programs.terms]
    assert min(sizes) >= 20
    assert max(sizes) <= MAX_TERM_GENES
    members = np.bincount(programs.program[programs.program >= 0])
    assert members.min() >= 10


def test_programs_grow_with_the_targets_between_two_and_twelve_a_facet() -> None:
    assert [programs_per_facet(n) for n in (19, 60, 105, 1_092, 5_000)] == [2, 2, 3, 12, 12]


def test_the_first_known_facet_of_the_states_order_is_responsible() -> None:
    known = np.array([[True, False, True], [False, True, False], [False, False, False]])
    priority = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.int32)
    assert responsible_facets(known, priority).tolist() == [[0, 2], [1, 1], [-1, -1]]


def test_every_state_orders_all_facets() -> None:
    priority = draw_priorities(np.random.default_rng(2), n_facets=8)
    np.testing.assert_array_equal(np.sort(priority, axis=1), np.tile(np.arange(8), (3, 1)))


def test_every_target_with_knowledge_answers_through_a_program_in_every_state(
    programs: GenePrograms, targets: Targets
) -> None:
    known = programs.is_known[targets.positions]
    np.testing.assert_array_equal(targets.responsible, responsible_facets(known, targets.priority))
    for row, position in enumerate(targets.positions):
        for facet in targets.responsible[row]:
            assert facet == -1 or programs.program[position, facet] >= 0


def test_a_few_targets_have_no_knowledge_and_most_have_a_choice_of_facets(
    programs: GenePrograms, targets: Targets
) -> None:
    n_known = programs.is_known[targets.positions].sum(axis=1)
    assert 0 < (n_known == 0).sum() <= 0.1 * len(n_known)
    assert (n_known >= 2).mean() > 0.9


def test_targets_share_the_programs_that_answer(programs: GenePrograms, targets: Targets) -> None:
    facet = targets.responsible[:, 0]
    answering = programs.program[targets.positions, facet][facet >= 0]
    counts = np.bincount(answering)
    assert np.median(counts[counts > 0]) >= 2


def test_too_few_qualifying_genes_are_an_error(programs: GenePrograms) -> None:
    few = GenePrograms(
        genes=programs.genes[:40],
        is_known=programs.is_known[:40],
        program=programs.program[:40],
        terms=programs.terms,
        term_facets=programs.term_facets,
    )
    with pytest.raises(ConfigError, match="use a smaller scale"):
        draw_targets(PROFILES["k562"], few, rng=np.random.default_rng(3))


def test_the_responsible_program_carries_most_of_what_go_names(
    programs: GenePrograms, targets: Targets, effects: PlantedEffects
) -> None:
    of_go = effects.weights[:, :, : len(programs.terms)]
    strength = of_go.sum(axis=2)
    for state in range(strength.shape[1]):
        facet = targets.responsible[:, state]
        rows = np.flatnonzero(facet >= 0)
        program = programs.program[targets.positions[rows], facet[rows]]
        share = of_go[rows, state, program] / strength[rows, state]
        assert share.min() >= RESPONSIBLE_SHARE - 1e-9
    assert np.all(of_go[targets.responsible[:, 0] < 0] == 0.0)


def test_programs_of_one_facet_are_more_alike_than_those_of_two(
    programs: GenePrograms, effects: PlantedEffects
) -> None:
    alike: npt.NDArray[np.float64] = np.asarray(
        np.corrcoef(effects.program_effects[: len(programs.terms)])
    )
    same = programs.term_facets[:, None] == programs.term_facets
    off = ~np.eye(len(same), dtype=bool)
    assert alike[same & off].mean() > alike[~same].mean() + 0.1


def test_every_source_has_its_stated_share_of_a_target_that_is_in_all(
    programs: GenePrograms, targets: Targets, memberships: Memberships, effects: PlantedEffects
) -> None:
    n_go, n_near = len(programs.terms), len(memberships.centres)
    cuts = {"go_text": (0, n_go), "string_graph": (n_go, n_go + n_near)}
    cuts["hidden"] = (n_go + n_near, effects.weights.shape[2])
    size = {
        source: np.linalg.norm(
            effects.weights[:, 0, start:stop] @ effects.program_effects[start:stop], axis=1
        )
        for source, (start, stop) in cuts.items()
    }
    # All parts have the target's strength in common; the hidden one is there for every target.
    whole = size["hidden"] / np.sqrt(SOURCE_SHARES["hidden"])
    has = {
        "go_text": targets.responsible[:, 0] >= 0,
        "string_graph": memberships.neighbourhood >= 0,
    }
    for source, rows in has.items():
        assert 0.3 < rows.mean() < 1.0
        np.testing.assert_allclose((size[source] / whole)[rows] ** 2, SOURCE_SHARES[source])
        np.testing.assert_array_equal(size[source][~rows], 0.0)
    np.testing.assert_allclose(whole / effects.strength, whole[0] / effects.strength[0])


def test_shares_of_all_targets_sum_to_one_and_what_nobody_knows_is_the_genes_own(
    effects: PlantedEffects,
) -> None:
    assert sum(SOURCE_SHARES.values()) == pytest.approx(1.0)
    assert sum(effects.shares.values()) == pytest.approx(1.0)
    # Squared responses sum to what squared strengths do, whatever each target's own is.
    assert effects.shares["common"] == pytest.approx(SOURCE_SHARES["common"])
    assert effects.shares["hidden"] == pytest.approx(SOURCE_SHARES["hidden"])
    assert effects.shares["string_graph"] < SOURCE_SHARES["string_graph"]
    assert effects.shares["own"] > SOURCE_SHARES["own"]


def test_the_shared_response_moves_more_genes_than_others_and_more_evenly(
    output: OutputGenes,
) -> None:
    shared = draw_shared_direction(
        output,
        changed_share=RESPONSE_CHANGED_SHARE,
        readiness=RESPONSE_READINESS,
        rng=np.random.default_rng(11),
    )
    others = draw_directions(20, output, rng=np.random.default_rng(12))
    assert np.linalg.norm(shared) == pytest.approx(1.0)
    assert (shared != 0).sum() == RESPONSE_CHANGED_SHARE * N_GENES > (others[0] != 0).sum()
    # How many genes of equal change would be as unequal.
    assert 1 / (shared**4).sum() > 2 * np.median(1 / (others**4).sum(axis=1))


def test_the_shared_response_is_as_strong_as_each_target_draws(
    programs: GenePrograms,
    targets: Targets,
    memberships: Memberships,
    output: OutputGenes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With nothing else planted, an effect is the response alone.
    alone = dict.fromkeys(SOURCE_SHARES, 0.0) | {"common": 1.0}
    monkeypatch.setattr("dygenept.data.simulated.effects.SOURCE_SHARES", alone)
    planted = plant_effects(
        targets, programs, memberships, output=output, rng=np.random.default_rng(1)
    )
    size = np.linalg.norm(planted.singles, axis=2)
    unit = EFFECT_SIZE * np.sqrt(n_changed_genes(N_GENES))
    expected = np.broadcast_to(unit * planted.response[:, None], size.shape)
    np.testing.assert_allclose(size, expected, rtol=1e-5)
    directions = (planted.singles / size[:, :, None]).reshape(-1, N_GENES)
    np.testing.assert_allclose(directions, np.tile(directions[0], (len(directions), 1)), atol=1e-6)
    assert np.linalg.norm(planted.response) == pytest.approx(np.linalg.norm(planted.strength))


def test_targets_of_a_neighbourhood_are_linked_with_its_gene(
    names: tuple[str, ...], memberships: Memberships
) -> None:
    symbols = load_gene_tables().symbols
    linked = links_of("string", names) != 0
    counts = np.bincount(memberships.neighbourhood[memberships.neighbourhood >= 0])
    assert len(counts) == len(memberships.centres) > 1
    assert counts.min() >= 2
    for row, group in enumerate(memberships.neighbourhood):
        if group >= 0:
            assert linked[row, symbols.index(memberships.centres[group])]


def test_hidden_programs_have_equal_sizes_and_follow_the_seed_alone(
    names: tuple[str, ...], memberships: Memberships
) -> None:
    sizes = np.bincount(memberships.hidden, minlength=memberships.n_hidden)
    assert sizes.max() - sizes.min() <= 1
    again = draw_memberships(names, rng=np.random.default_rng(5))
    other = draw_memberships(names, rng=np.random.default_rng(6))
    np.testing.assert_array_equal(again.hidden, memberships.hidden)
    assert (other.hidden != memberships.hidden).any()
    np.testing.assert_array_equal(other.neighbourhood, memberships.neighbourhood)


@pytest.fixture(scope="module")
def known_and_effects() -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """What 263 targets are members of, by source, and their effects of strength 1."""
    profile = PROFILES["k562"].scaled(0.15)
    programs = assign_programs(
        load_gene_tables(), n_per_facet=programs_per_facet(profile.n_singles)
    )
    targets = draw_targets(profile, programs, rng=np.random.default_rng(20))
    names = tuple(programs.genes[position] for position in targets.positions)
    memberships = draw_memberships(names, rng=np.random.default_rng(21))
    output = draw_output_genes(np.linspace(-3.0, 2.0, N_GENES), rng=np.random.default_rng(22))
    rng = np.random.default_rng(23)
    planted = plant_effects(targets, programs, memberships, output=output, rng=rng)

    def one_hot(codes: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.float64]:
        return np.asarray(codes[:, None] == np.arange(size), dtype=np.float64)

    of_go = programs.program[targets.positions]
    known = {
        "go_text": sum(one_hot(of_go[:, facet], len(programs.terms)) for facet in range(8)),
        "string_graph": one_hot(memberships.neighbourhood, len(memberships.centres)),
        "hidden": one_hot(memberships.hidden, memberships.n_hidden),
    }
    return known, planted.singles[:, 0] / planted.strength[:, None]


def beyond_the_mean(x: npt.NDArray[np.float64], effects: npt.NDArray[np.float64]) -> float:
    """Share of the error of the train mean that ridge regression spares held-out targets."""
    fold_of = np.random.default_rng(1).permutation(len(effects)) % 5
    errors = np.zeros(2)
    for fold in range(5):
        train, test = fold_of != fold, fold_of == fold
        mean, centre = effects[train].mean(axis=0), x[train].mean(axis=0)
        a = x[train] - centre
        weights = a.T @ np.linalg.solve(a @ a.T + np.eye(len(a)), effects[train] - mean)
        predicted = mean + (x[test] - centre) @ weights
        errors += [((effects[test] - guess) ** 2).sum() for guess in (predicted, mean)]
    return float(1.0 - errors[0] / errors[1])


@pytest.mark.parametrize(
    ("source", "at_least"), [("go_text", 0.08), ("string_graph", 0.03), ("hidden", 0.05)]
)
def test_each_source_tells_of_held_out_targets_what_their_mean_does_not(
    source: str,
    at_least: float,
    known_and_effects: tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> None:
    known, effects = known_and_effects
    assert beyond_the_mean(known[source], effects) > at_least
    # Dealt to the wrong genes the same memberships lose against the mean.
    shuffled = np.random.default_rng(0).permutation(known[source])
    assert beyond_the_mean(shuffled, effects) < -0.05


def test_all_effects_are_larger_by_the_factor(
    programs: GenePrograms, targets: Targets, memberships: Memberships, output: OutputGenes
) -> None:
    one, two = (
        plant_effects(
            targets,
            programs,
            memberships,
            output=output,
            factor=factor,
            rng=np.random.default_rng(1),
        )
        for factor in (1.0, 2.0)
    )
    np.testing.assert_allclose(two.singles, 2.0 * one.singles, rtol=1e-5)
    np.testing.assert_allclose(two.doubles, 2.0 * one.doubles, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(two.strength, 2.0 * one.strength)
    np.testing.assert_allclose(two.response, 2.0 * one.response)
    assert two.shares == pytest.approx(one.shares)


def test_a_pair_without_a_shared_program_is_the_sum_of_its_genes(
    targets: Targets, effects: PlantedEffects
) -> None:
    left, right = targets.pairs.T
    shares = ((effects.weights[left] > 0) & (effects.weights[right] > 0)).any(axis=(1, 2))
    assert shares.any()
    assert not shares.all()
    total = effects.singles[left] + effects.singles[right]
    apart = np.abs(effects.doubles - total).max(axis=(1, 2))
    np.testing.assert_allclose(apart[~shares], 0.0, atol=1e-6)
    assert apart[shares].min() > 1e-4


def test_the_order_of_a_pair_changes_nothing(
    programs: GenePrograms, targets: Targets, memberships: Memberships, output: OutputGenes
) -> None:
    turned = Targets(
        positions=targets.positions,
        priority=targets.priority,
        responsible=targets.responsible,
        pairs=targets.pairs[:, ::-1],
    )
    one, other = (
        plant_effects(
            which, programs, memberships, output=output, rng=np.random.default_rng(4)
        ).doubles
        for which in (targets, turned)
    )
    np.testing.assert_array_equal(one, other)


def test_pairs_are_distinct_and_join_two_targets(targets: Targets) -> None:
    pairs = {tuple(pair) for pair in targets.pairs.tolist()}
    assert len(pairs) == len(targets.pairs) > 0
    assert all(left < right < len(targets.positions) for left, right in pairs)
