"""Numbers as people read them."""

from __future__ import annotations

import pytest

from dygenept.machine.plain_text import brief, fixed


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "0.500"),
        (-0.5, "−0.500"),
        (0.05, "0.0500"),
        (-0.0004, "−0.00040"),
        (4.2e-7, "0.00000042"),
        (-1e-12, "0.00000000"),
        (-0.0, "0.000"),
        (1234.5, "1234.500"),
        (float("nan"), "nan"),
        (float("-inf"), "−inf"),
    ],
)
def test_three_decimals_and_more_where_a_number_is_small(value: float, expected: str) -> None:
    assert brief(value) == expected


def test_decimals_signs_and_zeros() -> None:
    assert [fixed(value, 2) for value in (-0.004, 1.0, -1.235)] == ["0.00", "1.00", "−1.24"]
    assert [fixed(value, 1, signed=True) for value in (0.25, -0.3)] == ["+0.2", "−0.3"]
