"""When an object that is handed over counts as the same again in a results folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pytest

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
