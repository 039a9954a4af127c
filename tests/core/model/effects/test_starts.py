"""What steps on a table start from, and which start is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from core.model.effects.toy_screen import OPTIONS, Maker, held_out, screen

from dygenept.model.effects.explanation import explained_starts
from dygenept.model.effects.gradients import Steps
from dygenept.model.effects.starts import NOT_JUDGED, TableStart, TrainedFrom, best_of
from dygenept.model.effects.table_model import TableModel
from dygenept.model.training.options import TableOptions
from dygenept.types import Runtime
from dygenept.types.effects import EffectKind


def trained(is_closed_form: bool, *errors: float) -> TrainedFrom:
    start = SimpleNamespace(is_closed_form=is_closed_form, options=TableOptions())
    return TrainedFrom(cast(TableStart, start), Steps(kept_errors=np.array(errors)), None)


@pytest.mark.parametrize(
    ("means", "is_closed_form"),
    [
        ((0.1, 0.21, 0.3), False),
        # Lower in the mean, by less than two standard errors.
        ((0.1, 0.2, 0.45), True),
        ((0.2, 0.3, 0.4), True),
        ((0.3, 0.4, 0.5), True),
    ],
)
def test_the_closed_form_stays_unless_errors_fall_beyond_chance_without_it(
    means: tuple[float, ...], is_closed_form: bool
) -> None:
    best, chosen = best_of((trained(True, 0.2, 0.3, 0.4), trained(False, *means)))
    assert best.start.is_closed_form == is_closed_form
    assert chosen == {
        "validation_error_from_closed_form": pytest.approx(0.3),
        "validation_error_from_means": pytest.approx(np.mean(means)),
    }


def test_where_nothing_can_be_judged_the_closed_form_stays() -> None:
    best, chosen = best_of((trained(True), trained(False)))
    assert best.start.is_closed_form
    assert chosen == {}


def test_one_start_is_kept_and_nothing_said_of_a_choice() -> None:
    only = trained(False, 0.9)
    assert best_of((only,)) == (only, {})


@pytest.mark.parametrize("kind", ["values", "labels"])
def test_without_the_closed_form_nothing_of_it_is_predicted(
    kind: EffectKind, make_table_model: Maker
) -> None:
    task, truth = screen(noise=0.5, kind=kind)
    assert task.effects is not None
    model = make_table_model(replace(OPTIONS, warm_start=False, epochs=10, patience=10))
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
    assert (told.shares, told.neighbours, told.is_means_alone) == ({}, (), True)


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
    # All outputs are moved alike here, which networks find and likeness does not.
    assert errors["auto"] == errors[False]
    np.testing.assert_array_equal(predicted["auto"], predicted[False])
    assert not np.array_equal(predicted[True], predicted[False])
    model.save(tmp_path)
    again = TableModel.load(tmp_path, model._of, Runtime())
    np.testing.assert_array_equal(again.predict(held_out()).expression, predicted["auto"])


@pytest.mark.parametrize(("warm", "is_said"), [(False, True), (True, False), ("auto", False)])
def test_where_no_steps_can_be_judged_the_means_are_predicted_and_that_is_said(
    make_table_model: Maker, *, warm: bool, is_said: bool
) -> None:
    task, _ = screen(noise=0.5)
    assert task.effects is not None
    # One output gene: errors over genes have no spread.
    task = replace(
        task,
        gene_ids=task.gene_ids[:1],
        gene_symbols=task.gene_symbols[:1],
        control_means=task.control_means[:, :1],
        means=task.means[:, :1],
        effects=replace(
            task.effects,
            is_observed=task.effects.is_observed[:, :1],
            gene_means=task.effects.gene_means[:, :1],
        ),
    )
    model = make_table_model(replace(OPTIONS, warm_start=warm))
    model.fit(task)
    assert (NOT_JUDGED in model.fitted.notes) == is_said
    assert model.chosen["epochs_trained"] == 0
    predicted = model.predict(held_out()).expression
    assert (predicted == task.effects.gene_means[0, 0]).all() == is_said


@pytest.mark.parametrize("warm", [False, "auto"])
def test_without_steps_there_is_only_the_closed_form(warm: bool) -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
        TableOptions(warm_start=warm, epochs=0)
