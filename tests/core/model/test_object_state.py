"""When an object that is handed over counts as the same again in a results folder."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest
import torch

from dygenept.model.object_state import object_state
from dygenept.types import Predictions, Task

ALPHA = 0.5


class Plain:
    """A model without anything of its own."""

    def fit(self, task: Task) -> None:
        """Learn nothing."""

    def predict(self, conditions: Sequence[object]) -> Predictions:
        raise NotImplementedError


class WithShare(Plain):
    share = 0.5
    log = logging.getLogger(__name__)

    @classmethod
    def made(cls) -> WithShare:
        return cls()


class OfTheModule(Plain):
    @cached_property
    def values(self) -> list[float]:
        return [ALPHA for _ in range(2)]


class WithSlots:
    __slots__ = ("unset", "__dict__", "__share")  # noqa: RUF023

    def __init__(self, share: float) -> None:
        self.__share = share


def closing_over(share: object) -> Plain:
    class Local(Plain):
        def fit(self, task: Task) -> None:
            super().fit(task)
            assert share or unset

    if share is None:
        unset = 1
    return Local()


def test_an_object_of_attributes_alone_is_its_attributes() -> None:
    item = Plain()
    assert object_state(item) == {}
    assert object_state(Plain) == {}
    item.share = 0.5  # type: ignore[attr-defined]
    assert object_state(item) == {"share": 0.5}


def test_what_a_class_has_for_all_its_objects_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [object_state(item) for item in (WithShare(), WithShare)]
    assert before == [object_state(item) for item in (WithShare(), WithShare)]
    monkeypatch.setattr(WithShare, "share", 0.25)
    after = [object_state(item) for item in (WithShare(), WithShare)]
    assert all(old != new for old, new in zip(before, after, strict=True))
    monkeypatch.setattr(WithShare, "share", np.ones(2))
    assert object_state(WithShare()) != object_state(WithShare())


def test_what_methods_close_over_counts() -> None:
    assert object_state(closing_over(0.5)) == object_state(closing_over(0.5))
    assert object_state(closing_over(0.5)) != object_state(closing_over(0.25))
    assert object_state(closing_over(np.ones(2))) != object_state(closing_over(np.ones(2)))


def test_plain_values_of_the_module_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = object_state(OfTheModule())
    assert before == object_state(OfTheModule())
    monkeypatch.setitem(globals(), "ALPHA", 0.25)
    assert object_state(OfTheModule()) != before


def test_what_is_in_slots_counts() -> None:
    item = WithSlots(0.5)
    item.more = 1  # type: ignore[attr-defined]
    assert object_state(item) == {
        "slots": {"WithSlots.__share": 0.5},
        "attributes": {"more": 1},
    }
    assert object_state(WithSlots(0.5)) != object_state(WithSlots(0.25))


def test_what_json_cannot_say_is_never_the_same() -> None:
    for value in (np.ones(2), float("nan"), {1: 1, "1": 1}, object()):
        item = Plain()
        item.value = value  # type: ignore[attr-defined]
        assert object_state(item) != object_state(item)


def of_a_helper(share: float) -> Plain:
    def helper() -> float:
        return share

    class Local(Plain):
        def fit(self, task: Task) -> None:
            helper()

    return Local()


def wrapping(share: float, other: float = 0.0) -> Plain:
    def kept(function: Callable[..., None]) -> Callable[..., None]:
        share = other

        @functools.wraps(function)
        def inner(*given: object) -> None:
            assert share is not None
            function(*given)

        return inner

    class Local(Plain):
        @kept
        def fit(self, task: Task) -> None:
            assert share is not None

    return Local()


def with_a_default(share: float) -> Plain:
    class Local(Plain):
        def fit(self, task: Task, given: float = share, *, more: float = 1.0) -> None:
            super().fit(task)

    return Local()


def of_torch(share: float) -> Plain:
    class Local(Plain):
        @torch.no_grad()
        def fit(self, task: Task) -> None:
            assert share

    return Local()


@pytest.mark.parametrize("make", [of_a_helper, wrapping, with_a_default, of_torch])
def test_what_is_closed_over_counts_however_it_is_reached(make: Callable[[float], Plain]) -> None:
    assert object_state(make(0.5)) == object_state(make(0.5))
    assert object_state(make(0.5)) != object_state(make(0.25))


def test_a_method_and_what_it_wraps_both_count() -> None:
    states = [object_state(wrapping(*given)) for given in ((0.5, 0.0), (0.5, 1.0), (0.25, 0.0))]
    assert states[0] not in states[1:]
    assert states[1] != states[2]


@dataclass
class OfFields(Plain):
    share: float = 0.5
    names: list[str] = field(default_factory=list)


def test_a_data_class_is_its_fields() -> None:
    found = object_state(OfFields())
    assert found == object_state(OfFields())
    assert found != object_state(OfFields(0.25))
    assert found != object_state(OfFields(names=["a"]))
