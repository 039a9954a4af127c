"""Where every random draw of a model comes from, all derived from the seed of its run.

Each draw has a seed of its own, so that one more draw in one place changes none elsewhere, and a
resumed training repeats those of any step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def prediction_cells_rng(seed: int) -> np.random.Generator:
    """Draws the control cells that all members' predictions average over."""
    return np.random.default_rng([seed, 1])


def member_seed(seed: int, member: int) -> int:
    """Derive the seed of a member of the ensemble."""
    return derived_seed(seed, 2, member)


def start_rng(seed: int) -> np.random.Generator:
    """Draws what the closed-form start of a member reads."""
    return np.random.default_rng([seed, 3])


def judged_rng(seed: int) -> np.random.Generator:
    """Draws the perturbations that are held out to judge gradient steps."""
    return np.random.default_rng([seed, 4])


def measured_rng(seed: int) -> np.random.Generator:
    """Draws the control cells by which what was measured of train genes is added."""
    return np.random.default_rng([seed, 5])


def derived_seed(seed: int, *position: int) -> int:
    """Derive the seed of one draw, such as a step's dropout from (epoch, step, process)."""
    return int(np.random.SeedSequence([seed, *position]).generate_state(1)[0])


@contextmanager
def forked_torch(device: torch.device) -> Iterator[None]:
    """Put torch's own generators back as they were after a block."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def seeded_torch(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own generators for a block and put them back as they were after it."""
    with forked_torch(device):
        torch.manual_seed(seed)
        yield
