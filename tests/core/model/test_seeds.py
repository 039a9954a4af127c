"""Every draw of a model has a seed of its own, which a published number can be traced to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dygenept.model.seeds import (
    derived_seed,
    judged_rng,
    measured_rng,
    member_seed,
    prediction_cells_rng,
    seeded_torch,
    start_rng,
)


def from_entropy(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def drawn(rng: np.random.Generator) -> list[int]:
    values: list[int] = rng.integers(1 << 40, size=4).tolist()
    return values


@pytest.mark.parametrize("seed", [0, 7])
def test_seeds_are_those_of_the_written_positions(seed: int) -> None:
    assert derived_seed(seed) == from_entropy(seed)
    assert derived_seed(seed, 4, 5) == from_entropy(seed, 4, 5)
    assert [member_seed(seed, member) for member in range(3)] == [
        from_entropy(seed, 2, member) for member in range(3)
    ]
    assert drawn(prediction_cells_rng(seed)) == drawn(np.random.default_rng([seed, 1]))
    assert drawn(start_rng(seed)) == drawn(np.random.default_rng([seed, 3]))
    assert drawn(judged_rng(seed)) == drawn(np.random.default_rng([seed, 4]))
    assert drawn(measured_rng(seed)) == drawn(np.random.default_rng([seed, 5]))


def test_no_two_draws_share_a_seed() -> None:
    seeds = [member_seed(seed, member) for seed in range(5) for member in range(5)]
    assert len(set(seeds)) == len(seeds)
    rngs = (prediction_cells_rng(0), start_rng(0), judged_rng(0), measured_rng(0))
    assert len({tuple(drawn(rng)) for rng in rngs}) == 4


def test_torch_draws_the_same_within_and_goes_on_as_before_after() -> None:
    cpu = torch.device("cpu")
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    found = []
    for seed in (3, 3, 4):
        with seeded_torch(seed, cpu):
            found.append(torch.rand(3).tolist())
    assert found[0] == found[1] != found[2]
    assert torch.equal(torch.random.get_rng_state(), before)
