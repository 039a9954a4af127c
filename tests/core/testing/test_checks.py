"""Each check must catch plugins that break a rule of its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict

from dygenept.errors import ConfigError, DataUnavailableError, PluginError
from dygenept.plugin.specs import PluginConfig, PluginSpec
from dygenept.testing import NotCheckedError, check_plugin
from dygenept.types import Fold, MetricInputs, MetricValues, Predictions


def test_a_sound_plugin_passes(sound: Callable[[str], Any], kind: str) -> None:
    check_plugin(sound(kind))


def test_an_exception_is_a_broken_rule_in_one_sentence(
    sound: Callable[[str], Any], broken: Callable[[Any, str], None], kind: str
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("by zero")

    broken(replace(sound(kind), factory=fail), "raised ZeroDivisionError: by zero")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"summary": ""}, "summary"),
        ({"summary": "two\nlines"}, "summary"),
        ({"source": " "}, "source"),
        ({"config": BaseModel}, "subclass of PluginConfig"),
        ({"factory": None}, "factory"),
    ],
)
def test_a_careless_declaration_is_caught(
    sound: Callable[[str], Any],
    broken: Callable[[Any, str], None],
    change: dict[str, object],
    match: str,
) -> None:
    broken(replace(sound("metrics"), **change), match)


def test_a_config_that_takes_any_key_is_caught(
    sound: Callable[[str], Any], broken: Callable[[Any, str], None]
) -> None:
    class Loose(PluginConfig):
        model_config = ConfigDict(extra="allow")

    broken(replace(sound("metrics"), config=Loose), "forbid unknown keys")


def test_a_spec_of_no_known_kind_is_refused() -> None:
    with pytest.raises(PluginError, match="not a spec class"):
        check_plugin(PluginSpec(name="x", summary="X.", source="this project"))


def test_what_is_not_here_is_not_checked(sound: Callable[[str], Any]) -> None:
    class NeedsFile(PluginConfig):
        path: Path

    def unavailable(*arguments: object) -> None:
        raise DataUnavailableError("no weights")

    metric = sound("metrics")
    for spec, match in (
        (replace(metric, config=NeedsFile), "needs options: .*path"),
        (
            replace(metric, requires=("no-such-distribution>=1",)),
            "pip install no-such-distribution",
        ),
        (replace(metric, missing=lambda config: "no best_model.pt"), "no best_model.pt"),
        (replace(metric, factory=unavailable), "no weights"),
    ):
        with pytest.raises(NotCheckedError, match=match):
            check_plugin(spec)


def test_check_options_stand_in_for_defaults(sound: Callable[[str], Any]) -> None:
    class NeedsNumber(PluginConfig):
        number: int

    spec = replace(sound("metrics"), config=NeedsNumber, check_options={"number": 3})
    check_plugin(spec)
    with pytest.raises(ConfigError, match="numbr"):
        check_plugin(spec, options={"numbr": 3})


def without_reasons(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    return MetricValues(values.values)


def zero_filled(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    return MetricValues(np.nan_to_num(values.values), values.reasons)


def as_float32(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    return MetricValues(values.values.astype(np.float32), values.reasons)  # type: ignore[arg-type]


def upside_down(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    return MetricValues(-values.values, values.reasons)


def out_of_range(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    return MetricValues(values.values * 2, values.reasons)


def by_position(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    return MetricValues(values.values / (1 + np.arange(len(values.values))), values.reasons)


def reads_de_genes(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    genes = 1 + (inputs.de_indices[:, 0] % 7)
    return MetricValues(values.values / genes, values.reasons)


def writes_into_truth(inputs: MetricInputs, values: MetricValues) -> MetricValues:
    inputs.truth[0, 0] += 1.0
    return values


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (without_reasons, "needs a reason"),
        (zero_filled, "no other value may have one"),
        (as_float32, "float64"),
        (upside_down, "scores better than the truth"),
        (out_of_range, "declared range"),
        (by_position, "order of the conditions"),
        (reads_de_genes, "uses_de_genes"),
        (writes_into_truth, "writes into truth"),
    ],
)
def test_a_wrong_metric_is_caught(
    breaks: Callable[[str, Any, str], None],
    wrong: Callable[[MetricInputs, MetricValues], MetricValues],
    match: str,
) -> None:
    breaks("metrics", lambda metric: lambda inputs: wrong(inputs, metric(inputs)), match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"undefined": ""}, "declares none"),
        ({"neutral": 5.0}, "neutral value"),
        ({"lower": 1.0}, "is empty"),
        ({"higher_is_better": False}, "scores better than the truth"),
    ],
)
def test_a_wrong_metric_declaration_is_caught(
    sound: Callable[[str], Any],
    broken: Callable[[Any, str], None],
    change: dict[str, object],
    match: str,
) -> None:
    broken(replace(sound("metrics"), **change), match)


def test_a_metric_that_draws_lots_is_caught(breaks: Callable[[str, Any, str], None]) -> None:
    rng = np.random.default_rng(0)

    def change(metric: Any) -> Any:
        def noisy(inputs: MetricInputs) -> MetricValues:
            found = metric(inputs)
            return MetricValues(found.values * rng.random(), found.reasons)

        return noisy

    breaks("metrics", change, "a second call differs")


def predicting(wrong: Callable[[Any, Predictions], Predictions]) -> Callable[[Any], Any]:
    def change(model: Any) -> Any:
        return SimpleNamespace(
            fit=model.fit, predict=lambda asked: wrong(model, model.predict(asked))
        )

    return change


def shifted_by_row(model: Any, found: Predictions) -> Predictions:
    rows = 0.01 * np.arange(len(found.conditions))
    return Predictions(found.conditions, found.expression + rows[:, None])


def centred(model: Any, found: Predictions) -> Predictions:
    mean = found.expression.mean(axis=0) if len(found.conditions) else 0.0
    return Predictions(found.conditions, found.expression * 2 - mean + len(found.conditions))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (shifted_by_row, "order of the conditions"),
        (centred, "conditions beside it"),
        (lambda model, p: Predictions(p.conditions, p.expression * np.nan), "NaN"),
        (lambda model, p: Predictions(p.conditions, p.expression[:, 1:]), "expression must be"),
        (lambda model, p: Predictions(p.conditions[::-1], p.expression), "exactly the conditions"),
        (lambda model, p: Predictions(p.conditions, p.expression.astype(np.float32)), "float64"),
        (lambda model, p: replace(p, truth=p.expression), "its own truth"),
        (lambda model, p: p.expression, "must return Predictions"),
    ],
)
def test_a_wrong_baseline_is_caught(
    breaks: Callable[[str, Any, str], None],
    wrong: Callable[[Any, Any], Any],
    match: str,
) -> None:
    breaks("baselines", predicting(wrong), match)


def test_a_baseline_that_fails_on_unseen_genes_is_caught(
    breaks: Callable[[str, Any, str], None],
) -> None:
    def strict(model: Any) -> Any:
        def predict(asked: Sequence[Any]) -> Predictions:
            if any(gene.startswith("TOYGENE_") for item in asked for gene in item.genes):
                raise KeyError("not in the graph")
            found: Predictions = model.predict(asked)
            return found

        return SimpleNamespace(fit=model.fit, predict=predict)

    breaks("baselines", strict, "KeyError")


def test_a_baseline_that_alters_its_task_is_caught(breaks: Callable[[str, Any, str], None]) -> None:
    def careless(model: Any) -> Any:
        def fit(task: Any) -> None:
            model.fit(task)
            task.means[:] -= task.means.mean()

        return SimpleNamespace(fit=fit, predict=model.predict)

    breaks("baselines", careless, r"writes into task\.means")


def test_a_baseline_without_a_seed_is_caught(breaks: Callable[[str, Any, str], None]) -> None:
    rng = np.random.default_rng(0)

    def random(model: Any) -> Any:
        offset = rng.random()
        return predicting(lambda _, p: Predictions(p.conditions, p.expression + offset))(model)

    breaks("baselines", random, "fitted twice")


def fold_changed(**change: Callable[[Fold], object]) -> Callable[..., tuple[Fold, ...]]:
    def folds(inner: Any, data: Any, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        first, *rest = inner.folds(data, n_folds=n_folds, seed=seed)
        wrong: Any = {name: value(first) for name, value in change.items()}
        return (replace(first, **wrong), *rest)

    return folds


def global_draw(inner: Any, data: Any, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
    np.random.rand()  # noqa: NPY002
    found: tuple[Fold, ...] = inner.folds(data, n_folds=n_folds, seed=seed)
    return found


def unseeded(inner: Any, data: Any, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
    drawn = int(np.random.default_rng().integers(10**9))
    found: tuple[Fold, ...] = inner.folds(data, n_folds=n_folds, seed=seed)
    return (replace(found[0], subgroups={f"group{drawn}": found[0].test}), *found[1:])


def crashing(inner: Any, data: Any, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
    if n_folds > len(data.perturbations):
        raise ValueError("cannot have so many folds")
    found: tuple[Fold, ...] = inner.folds(data, n_folds=n_folds, seed=seed)
    return found


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (fold_changed(train=lambda fold: (*fold.train, fold.test[0])), "train and test share"),
        (fold_changed(val=lambda fold: (fold.train[0],)), "train and val share"),
        (fold_changed(val=lambda fold: (fold.test[0],)), "val and test share"),
        (fold_changed(test=lambda fold: (*fold.test, "NOPE+ctrl")), "data lack"),
        (fold_changed(test=lambda fold: (*fold.test, fold.test[0])), "twice"),
        (fold_changed(train=lambda fold: ()), "nothing to train on"),
        (fold_changed(test=lambda fold: (), val=lambda fold: ()), "holds nothing out"),
        (fold_changed(subgroups=lambda fold: {"seen": fold.train[:1]}), "not in test"),
        (fold_changed(test_cell_type=lambda fold: "neuron"), "is not a cell type"),
        (global_draw, "numpy's global generator"),
        (unseeded, "on a second call"),
        (crashing, "ValueError"),
    ],
)
def test_a_wrong_split_is_caught(
    breaks: Callable[[str, Any, str], None], wrong: Callable[..., object], match: str
) -> None:
    breaks("splits", {"folds": wrong}, match)


def test_a_check_leaves_the_global_generators_alone(sound: Callable[[str], Any]) -> None:
    before = torch.random.get_rng_state()
    for kind in ("attention", "decoders", "gene_encoders", "cell_encoders"):
        check_plugin(sound(kind))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_package_of_another_version_or_no_requirement_is_told(
    sound: Callable[[str], Any],
) -> None:
    metric = sound("metrics")
    with pytest.raises(NotCheckedError, match="pip install numpy>=999"):
        check_plugin(replace(metric, requires=("numpy>=999",)))
    check_plugin(replace(metric, requires=("numpy>=1",)))
    with pytest.raises(PluginError, match="requires has 'no distribution!'"):
        check_plugin(replace(metric, requires=("no distribution!",)))
