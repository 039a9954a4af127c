"""What steps on a table start from, and which start is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from core.model.effects.toy_screen import OPTIONS, Maker, held_out, screen

from dygenept.model.effects.explanation import explained_starts
from dygenept.model.effects.gradients import Steps
from dygenept.model.effects.starts import TableStart, TrainedFrom, best_of
from dygenept.model.effects.table_model import TableModel
from dygenept.model.training.options import TableOptions
from dygenept.types import Runtime
from dygenept.types.effects import EffectKind


def trained(is_closed_form: bool, *, share: float = 0.0, **errors: float) -> TrainedFrom:
    start = cast(TableStart, SimpleNamespace(is_closed_form=is_closed_form))
    return TrainedFrom(start, Steps(share=share, **errors), None)


@pytest.mark.parametrize(
    ("closed", "means", "expected"),
    [
        # What steps came to counts only where they are kept.
        (trained(True, start_error=0.3, error=0.1), trained(False, share=1, error=0.2), False),
        (trained(True, start_error=0.3, share=1, error=0.1), trained(False, share=1, error=0.2), 1),
        (trained(True, start_error=0.2), trained(False, share=1, error=0.2), True),
        (trained(True), trained(False), True),
    ],
)
def test_the_start_with_the_lower_error_is_kept(
    closed: TrainedFrom, means: TrainedFrom, expected: bool
) -> None:
    best, chosen = best_of((closed, means))
    assert best.start.is_closed_form == expected
    assert chosen == {
        name: error
        for name, error in (
            ("validation_error_from_closed_form", closed.error),
            ("validation_error_from_means", means.error),
        )
        if not math.isnan(error)
    }


def test_one_start_is_kept_and_nothing_said_of_a_choice() -> None:
    only = trained(False, share=1.0, error=0.9)
    assert best_of((only,)) == (only, {})


@pytest.mark.parametrize("kind", ["values", "labels"])
def test_without_the_closed_form_nothing_of_it_is_predicted(
    kind: EffectKind, make_table_model: Maker
) -> None:
    task, truth = screen(noise=0.5, kind=kind)
    assert task.effects is not None
    model = make_table_model(replace(OPTIONS, warm_start=False, epochs=20, patience=20))
    model.fit(task)
    fitted, asked = model.fitted, held_out()
    start = fitted.start.of(asked)
    assert not start.changes.any()
    np.testing.assert_array_equal(start.means, np.tile(task.effects.gene_means, (len(asked), 1)))
    assert fitted.share > 0
    assert model.chosen["validation_error_with_steps"] < model.chosen["validation_error_of_start"]
    assert "sources" not in model.chosen
    # It learns what moves all genes, which the means do not tell.
    predicted = model.predict(asked).expression - start.means
    moved = truth.mean(axis=1)
    assert np.corrcoef(predicted.mean(axis=1), moved)[0, 1] > 0.5
    (told, *_) = explained_starts(fitted.start, asked)
    assert (told.shares, told.neighbours) == ({}, ())


def test_steps_from_the_means_are_kept_where_those_from_the_closed_form_would_not_be(
    make_table_model: Maker,
) -> None:
    task, _ = screen(noise=0.5)
    strict = replace(OPTIONS, standard_errors=1e6, epochs=1)
    models = [make_table_model(replace(strict, warm_start=warm)) for warm in (True, False)]
    for model in models:
        model.fit(task)
    assert [model.fitted.share > 0 for model in models] == [False, True]


def test_auto_is_one_of_the_two(make_table_model: Maker, tmp_path: Path) -> None:
    task, _ = screen(noise=0.5)
    predicted = {}
    errors = {}
    for warm in (True, False, "auto"):
        model = make_table_model(replace(OPTIONS, warm_start=warm))  # type: ignore[arg-type]
        model.fit(task)
        predicted[warm] = model.predict(held_out()).expression
        found = model.chosen
        is_kept = bool(found["share_of_steps_added"])
        errors[warm] = found[f"validation_error_{'with_steps' if is_kept else 'of_start'}"]
    assert found["validation_error_from_closed_form"] == errors[True]
    assert found["validation_error_from_means"] == errors[False]
    best = float(errors[False]) >= float(errors[True])
    assert errors["auto"] == errors[best]
    np.testing.assert_array_equal(predicted["auto"], predicted[best])
    assert not np.array_equal(predicted[True], predicted[False])
    model.save(tmp_path)
    again = TableModel.load(tmp_path, model._of, Runtime())
    np.testing.assert_array_equal(again.predict(held_out()).expression, predicted["auto"])


@pytest.mark.parametrize("warm", [False, "auto"])
def test_without_steps_there_is_only_the_closed_form(warm: bool) -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
        TableOptions(warm_start=warm, epochs=0)
