"""A small board whose models, ceiling and reference can be told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
N = 10
LEVELS = {
    "perturbed_mean": 0.1,
    "ridge": 0.5,
    "linear": 0.4,
    "mine": 0.45,
    "technical_duplicate": 0.9,
}
ROLES = {"technical_duplicate": "ceiling", "mine": "submitted"}


@pytest.fixture
def board_records(record: MakeRecord) -> list[RunRecord]:
    """Return five models on ten perturbations of one fold of two."""
    labels = [f"g{place}+ctrl" for place in range(N)]
    sizes = {"K562": {label: 0.1 * (place + 1) for place, label in enumerate(labels)}}
    return [
        record(
            key=f"{number:032d}",
            model=name,
            role=ROLES.get(name, "baseline"),
            values=(*(level + 0.01 * (place % 3) for place in range(N - 1)), None),
            effects=sizes,
            subgroups={"unseen_single": tuple(labels[:4]), "combo_seen1": tuple(labels[4:])},
        )
        for number, (name, level) in enumerate(LEVELS.items())
    ]
