"""Conformance of baselines and other whole models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.data.reachable import reachable_arrays
from dygenept.knowledge.genes.matching import select_genes
from dygenept.plugin.interfaces import HasChosen, HasNotes, Model, PredictsSpread
from dygenept.plugin.isolated.model import IsolatedModel
from dygenept.plugin.specs import BaselineSpec, PluginConfig
from dygenept.testing.leak_checks import Secrets, cheat
from dygenept.testing.rules import Rules, checking, configured
from dygenept.testing.toy import TOY_TARGETS, ToyShape, toy_data, toy_task
from dygenept.testing.toy_knowledge import UNKNOWN_GENE, toy_knowledge
from dygenept.types import (
    Condition,
    DoubleArray,
    FitSize,
    FitWork,
    GeneKnowledge,
    Perturbation,
    PerturbationData,
    Predictions,
    Runtime,
    Task,
)

# A model that computes in float32 may differ in the last bits, and no more.
TOLERANCE = 1e-5
# Of a fold for which a plan asks what a fit takes.
SOME_SIZE = FitSize(n_known=800, n_held_out=200, n_genes=5_000, n_targets=1_000)


def check_baseline(spec: BaselineSpec, *, options: Mapping[str, object] | None = None) -> None:
    """Check a whole model.

    It predicts finite expression for genes never seen and combinations of three, leaves the
    task alone, gives the same numbers for the same task and seed, and a condition's prediction
    depends on no other condition asked for. A ceiling or floor is asked for the held-out
    conditions alone. From the task and from anything else, once it is fitted, no path leads to
    held-out expression.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options or a package that are not here.
    """
    config = configured(spec, options)
    is_oracle = spec.role != "baseline"
    if spec.fit_work is not None:
        with checking(spec) as rules:
            _check_work(spec.fit_work(config, SOME_SIZE), rules)
    for n_cell_types in (1, 2):
        data = toy_data(ToyShape(n_cell_types=n_cell_types))
        task, held_out = _task_for(spec, data)
        with checking(spec) as rules:
            conditions = held_out if is_oracle else (*held_out, *_hard_conditions(task))
            before = _arrays(task)
            model = spec.factory(config)
            model.fit(task)
            if not is_oracle:
                found = cheat(task, model, Secrets(data, held_out), ask_collector=n_cell_types == 1)
                rules.require(found is None, f"it reaches held-out expression by way of {found}")
            predictions = _predict(model, conditions, task, rules, is_oracle=is_oracle)
            after = _arrays(task)
            for name, array in before.items():
                is_same = name in after and np.array_equal(array, after[name], equal_nan=True)
                rules.require(is_same, f"it writes into {name}")
            _check_independence(model, conditions, predictions, task, rules, is_oracle=is_oracle)
            twin = spec.factory(config)
            twin.fit(_task_for(spec, data)[0])
            again = _predict(twin, conditions, task, rules, is_oracle=is_oracle)
            rules.require(_close(again, predictions), "fitted twice, it predicts two things")
            _check_offers(model, rules)
            if isinstance(model, PredictsSpread):
                _check_spread(model, conditions, rules, shape=predictions.shape)


def _task_for(spec: BaselineSpec, data: PerturbationData) -> tuple[Task, tuple[Condition, ...]]:
    """Return the toy task, in which every facet set has the toy knowledge."""
    is_oracle = spec.role != "baseline"
    task, held_out = toy_task(
        data, needs_cells=spec.needs_cells, held_out=is_oracle, halves=spec.reads_halves
    )
    return replace(task, runtime=replace(task.runtime, knowledge=_toy_facets)), held_out


def _toy_facets(name: str, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
    return replace(select_genes(toy_knowledge(), tuple(genes)), name=name)


def check_isolated(
    spec: BaselineSpec, python: Path, *, options: Mapping[str, object] | None = None
) -> None:
    """Check a model with an environment of its own, in an interpreter that has its packages.

    Args:
        spec: The model; its factory returns an ``IsolatedModel``.
        python: The interpreter; no environment is built.
        options: Its options; None takes its ``check_options``.

    Raises:
        ConformanceError: If a rule of ``check_baseline`` is broken.
        NotCheckedError: If it needs options or files that are not here.
    """

    def factory(config: PluginConfig) -> IsolatedModel:
        model = spec.factory(config)
        if not isinstance(model, IsolatedModel):
            raise TypeError(f"the factory of {spec.name} returns no IsolatedModel")
        model.use_python(python)
        return model

    check_baseline(replace(spec, factory=factory, environment=None), options=options)


def _check_work(work: object, rules: Rules) -> None:
    rules.require(isinstance(work, FitWork), f"fit_work must return a FitWork, got {work!r}")
    assert isinstance(work, FitWork)
    steps = (work.products, work.decompositions, work.passes, work.halvings)
    rules.require(
        all(np.isfinite(number) and number >= 0 for number in steps),
        f"numbers of steps must be finite and not below 0, got {work!r}",
    )


def _check_offers(model: Model, rules: Rules) -> None:
    if isinstance(model, HasNotes):
        rules.require(
            not isinstance(model.notes, str) and all(isinstance(n, str) for n in model.notes),
            f"notes must be a sequence of sentences, got {model.notes!r}",
        )
    if isinstance(model, HasChosen):
        chosen = dict(model.chosen)
        rules.require(
            all(
                isinstance(name, str) and type(value) in (float, int, str)
                for name, value in chosen.items()
            ),
            f"chosen must map names to plain floats, ints or strings, got {chosen!r}",
        )


def _check_spread(
    model: PredictsSpread, conditions: Sequence[Condition], rules: Rules, *, shape: tuple[int, ...]
) -> None:
    spread = model.spread(tuple(conditions))
    if spread is None:
        return
    rules.require(
        isinstance(spread, np.ndarray) and spread.shape == shape and spread.dtype == np.float64,
        f"spread must return float64 {shape} or None",
    )
    rules.require(
        bool(np.isfinite(spread).all() and (spread >= 0).all()),
        "spread must return finite standard deviations of at least 0",
    )
    alone = model.spread(tuple(conditions[:1]))
    rules.require(
        alone is not None and _close(alone, spread[:1]),
        "a spread depends on the conditions beside it",
    )


def _hard_conditions(task: Task) -> tuple[Condition, ...]:
    """Genes that no train perturbation has, and combinations of more than two."""
    first, second, third = TOY_TARGETS[-3:]
    gene_sets = (
        (UNKNOWN_GENE,),
        (first, UNKNOWN_GENE),
        (first, second, third),
        (first, second, third, UNKNOWN_GENE),
    )
    return tuple(
        Condition(Perturbation("+".join(genes), tuple(sorted(genes))), cell_type)
        for genes in gene_sets
        for cell_type in task.cell_types
    )


def _check_independence(
    model: Model,
    conditions: Sequence[Condition],
    predictions: DoubleArray,
    task: Task,
    rules: Rules,
    *,
    is_oracle: bool,
) -> None:
    reverse = _predict(model, conditions[::-1], task, rules, is_oracle=is_oracle)[::-1]
    rules.require(
        _close(reverse, predictions), "a prediction depends on the order of the conditions"
    )
    if not is_oracle:
        alone = _predict(model, conditions[:1], task, rules, is_oracle=is_oracle)
        rules.require(
            _close(alone, predictions[:1]), "a prediction depends on the conditions beside it"
        )
        none = model.predict(())
        rules.require(
            none.expression.shape == (0, len(task.gene_ids)),
            f"no conditions must give (0, {len(task.gene_ids)}), got {none.expression.shape}",
        )


def _predict(
    model: Model,
    conditions: Sequence[Condition],
    task: Task,
    rules: Rules,
    *,
    is_oracle: bool,
) -> DoubleArray:
    predictions = model.predict(tuple(conditions))
    rules.require(
        isinstance(predictions, Predictions),
        f"predict must return Predictions, got {type(predictions).__name__}",
    )
    rules.require(
        predictions.conditions == tuple(conditions),
        "it must return exactly the conditions asked for, in order",
    )
    expression, expected = predictions.expression, (len(conditions), len(task.gene_ids))
    rules.require(
        expression.shape == expected and expression.dtype == np.float64,
        f"expression must be float64 {expected}, got {expression.dtype} {expression.shape}",
    )
    rules.require(bool(np.isfinite(expression).all()), "it predicts NaN or infinite values")
    rules.require(
        is_oracle or predictions.truth is None, "it sets its own truth; only a ceiling or floor may"
    )
    return expression


def _arrays(task: Task) -> dict[str, npt.NDArray[np.generic]]:
    """Copy every array of numbers that a model is handed."""
    return {
        path: array.copy() for path, array in reachable_arrays(task) if array.dtype.kind in "fiub"
    }


def _close(first: DoubleArray, second: DoubleArray) -> bool:
    return bool(np.allclose(first, second, rtol=0.0, atol=TOLERANCE))
