from __future__ import annotations

import pytest
from choose_draw import choose_draw
from real_ranges import REAL_RANGES

from dygenept.errors import DataError

# In the middle of every range.
WITHIN = {name: (low + high) / 2 for name, (low, high) in REAL_RANGES.items()}


def _out(*names: str) -> dict[str, float]:
    return WITHIN | {name: REAL_RANGES[name][1] + 1e-3 for name in names}


def test_the_first_draw_within_all_ranges_is_chosen_and_none_is_drawn_after_it() -> None:
    draws = [_out("norm_spread"), _out("reliability_high", "de_share"), WITHIN, WITHIN]
    seen: list[int] = []

    def statistics_of(seed: int) -> dict[str, float]:
        seen.append(seed)
        return draws[seed]

    chosen = choose_draw(statistics_of)
    assert (chosen.seed, dict(chosen.outside), chosen.n_seen) == (2, {}, 3)
    assert seen == [0, 1, 2]


def test_where_none_is_within_the_first_with_the_fewest_outside_is_chosen() -> None:
    draws = [_out("norm_spread", "de_share"), _out("de_share"), _out("norm_spread")]
    chosen = choose_draw(lambda seed: draws[seed], most=3)
    assert (chosen.seed, chosen.n_seen) == (1, 3)
    assert dict(chosen.outside) == {"de_share": draws[1]["de_share"]}


def test_a_figure_on_the_edge_is_within_and_one_that_is_undefined_is_not() -> None:
    name, (low, high) = next(iter(REAL_RANGES.items()))
    for edge in (low, high):
        assert choose_draw(lambda _, edge=edge: WITHIN | {name: edge}, most=1).outside == {}
    chosen = choose_draw(lambda _: WITHIN | {name: float("nan")}, most=1)
    assert list(chosen.outside) == [name]


def test_every_draw_is_told_and_none_is_an_error() -> None:
    told: list[tuple[int, list[str]]] = []
    choose_draw(
        lambda seed: WITHIN if seed == 6 else _out("norm_spread"),
        first=5,
        report=lambda seed, _, outside: told.append((seed, list(outside))),
    )
    assert told == [(5, ["norm_spread"]), (6, [])]
    with pytest.raises(DataError, match="1 and above"):
        choose_draw(lambda _: WITHIN, most=0)
