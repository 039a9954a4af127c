"""Each check must catch plugins that break a rule of its kind."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict
from scipy import sparse
from torch import nn

from dygenept.errors import ConfigError, DataUnavailableError, PluginError
from dygenept.interfaces import (
    AttentionOutput,
    DatasetStatus,
    FacetBatch,
    GeneFacets,
    KnowledgeGraph,
)
from dygenept.specs import PluginConfig, PluginSpec
from dygenept.testing import ConformanceError, NotCheckedError, ToyShape, check_plugin, toy_data
from dygenept.types import Fold, MetricInputs, MetricValues, Predictions

SOURCE = Path(__file__).parents[1] / "third_party" / "dygenept-toyplugins" / "src"
MODULES = {
    "attention": "most_confident",
    "baselines": "median_shift",
    "cell_encoders": "depth",
    "datasets": "toy_file",
    "decoders": "summed",
    "facet_writers": "handwritten",
    "gene_encoders": "projected",
    "kg_sources": "family",
    "metrics": "cosine_delta",
    "splits": "alternate",
    "text_encoders": "trigrams",
}


@pytest.fixture(scope="module")
def sound() -> Iterator[Callable[[str], Any]]:
    """Return the sound toy plugin of a kind."""
    before = set(sys.modules)
    sys.path.insert(0, str(SOURCE))

    def of(kind: str) -> Any:
        module = importlib.import_module(f"dygenept_toyplugins.{MODULES[kind]}")
        return getattr(module, f"dygenept_{kind}")()[0]

    yield of
    sys.path.remove(str(SOURCE))
    for name in set(sys.modules) - before:
        if name.startswith("dygenept_toyplugins"):
            del sys.modules[name]


def changed(spec: Any, change: Callable[[Any], Any]) -> Any:
    """Return a spec whose factory's product is passed through ``change``."""
    return replace(spec, factory=lambda *arguments: change(spec.factory(*arguments)))


class Over:
    """Wraps a plugin and replaces some of what it has."""

    def __init__(self, inner: object, **members: object) -> None:
        self._inner = inner
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def overriding(**members: Callable[..., object]) -> Callable[[Any], Any]:
    """Replace methods by functions of the sound plugin and the arguments."""

    def change(inner: Any) -> Any:
        def bind(member: Callable[..., object]) -> Callable[..., object]:
            return lambda *arguments, **options: member(inner, *arguments, **options)

        methods = {name: bind(member) for name, member in members.items()}
        kept = {
            name: getattr(inner, name)
            for name in ("status", "fetch", "load", "folds", "encode", "write", "graph")
            if hasattr(inner, name)
        }
        for name in ("identity", "corpus_dependent"):
            if hasattr(inner, name):
                kept[name] = getattr(inner, name)
        return Over(inner, **{**kept, **methods})

    return change


def broken(spec: Any, match: str) -> None:
    with pytest.raises(ConformanceError, match=match) as caught:
        check_plugin(spec)
    assert str(caught.value).startswith(f"{spec.kind}/{spec.name}: ")


@pytest.mark.parametrize("kind", MODULES)
def test_a_sound_plugin_passes(sound: Callable[[str], Any], kind: str) -> None:
    check_plugin(sound(kind))


@pytest.mark.parametrize("kind", MODULES)
def test_an_exception_is_a_broken_rule_in_one_sentence(
    sound: Callable[[str], Any], kind: str
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
    sound: Callable[[str], Any], change: dict[str, object], match: str
) -> None:
    broken(replace(sound("metrics"), **change), match)


def test_a_config_that_takes_any_key_is_caught(sound: Callable[[str], Any]) -> None:
    class Loose(PluginConfig):
        model_config = ConfigDict(extra="allow")

    broken(replace(sound("metrics"), config=Loose), "forbid unknown keys")


def test_a_spec_of_no_known_kind_is_refused() -> None:
    with pytest.raises(PluginError, match="no spec class"):
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
    sound: Callable[[str], Any],
    wrong: Callable[[MetricInputs, MetricValues], MetricValues],
    match: str,
) -> None:
    spec = changed(sound("metrics"), lambda metric: lambda inputs: wrong(inputs, metric(inputs)))
    broken(spec, match)


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
    sound: Callable[[str], Any], change: dict[str, object], match: str
) -> None:
    broken(replace(sound("metrics"), **change), match)


def test_a_metric_that_draws_lots_is_caught(sound: Callable[[str], Any]) -> None:
    rng = np.random.default_rng(0)

    def change(metric: Any) -> Any:
        def noisy(inputs: MetricInputs) -> MetricValues:
            found = metric(inputs)
            return MetricValues(found.values * rng.random(), found.reasons)

        return noisy

    broken(changed(sound("metrics"), change), "a second call differs")


def predicting(wrong: Callable[[Any, Predictions], Predictions]) -> Callable[[Any], Any]:
    def change(model: Any) -> Any:
        return Over(model, fit=model.fit, predict=lambda asked: wrong(model, model.predict(asked)))

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
    sound: Callable[[str], Any],
    wrong: Callable[[Any, Any], Any],
    match: str,
) -> None:
    broken(changed(sound("baselines"), predicting(wrong)), match)


def test_a_baseline_that_fails_on_unseen_genes_is_caught(sound: Callable[[str], Any]) -> None:
    def strict(model: Any) -> Any:
        def predict(asked: Sequence[Any]) -> Predictions:
            if any(gene.startswith("TOYGENE_") for item in asked for gene in item.genes):
                raise KeyError("not in the graph")
            found: Predictions = model.predict(asked)
            return found

        return Over(model, fit=model.fit, predict=predict)

    broken(changed(sound("baselines"), strict), "KeyError")


def test_a_baseline_that_alters_its_task_is_caught(sound: Callable[[str], Any]) -> None:
    def careless(model: Any) -> Any:
        def fit(task: Any) -> None:
            model.fit(task)
            task.means[:] -= task.means.mean()

        return Over(model, fit=fit, predict=model.predict)

    broken(changed(sound("baselines"), careless), r"writes into task\.means")


def test_a_baseline_without_a_seed_is_caught(sound: Callable[[str], Any]) -> None:
    rng = np.random.default_rng(0)

    def random(model: Any) -> Any:
        offset = rng.random()
        return predicting(lambda _, p: Predictions(p.conditions, p.expression + offset))(model)

    broken(changed(sound("baselines"), random), "fitted twice")


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
        (fold_changed(test_cell_type=lambda fold: "neuron"), "no cell type"),
        (global_draw, "numpy's global generator"),
        (unseeded, "on a second call"),
        (crashing, "ValueError"),
    ],
)
def test_a_wrong_split_is_caught(
    sound: Callable[[str], Any], wrong: Callable[..., object], match: str
) -> None:
    broken(changed(sound("splits"), overriding(folds=wrong)), match)


def encode(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda inner, texts, runtime: change(inner.encode(texts, runtime))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (encode(lambda v: v.astype(np.float64)), "float32"),
        (encode(lambda v: v[1:]), "texts must give"),
        (encode(lambda v: v * np.float32(np.nan)), "NaN"),
        (encode(np.ones_like), "different texts give the same"),
        (encode(lambda v: v + np.arange(len(v), dtype=np.float32)[:, None]), "same text twice"),
        (encode(lambda v: v + np.float32(len(v))), "corpus_dependent"),
        (lambda inner, texts, runtime: inner.encode(texts or ["none"], runtime), r"\(0, D\)"),
    ],
)
def test_a_wrong_text_encoder_is_caught(
    sound: Callable[[str], Any], wrong: Callable[..., object], match: str
) -> None:
    broken(changed(sound("text_encoders"), overriding(encode=wrong)), match)


def write(change: Callable[[tuple[GeneFacets, ...]], Any]) -> Callable[..., Any]:
    return lambda inner, genes, runtime: change(inner.write(genes, runtime))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (write(list), "tuple of GeneFacets"),
        (write(lambda found: found[::-1]), "in the order"),
        (write(lambda found: found[:-1]), "in the order"),
        (write(lambda found: tuple(replace(f, texts=f.texts[:7]) for f in found)), "7 texts"),
        (write(lambda found: tuple(replace(f, texts=("",) * 8) for f in found)), "never empty"),
        (write(lambda found: tuple(replace(f, texts=("a gene",) * 8) for f in found)), "not exist"),
        (write(lambda found: tuple(replace(f, texts=(None,) * 8) for f in found)), "knows none"),
    ],
)
def test_a_wrong_facet_writer_is_caught(
    sound: Callable[[str], Any], wrong: Callable[..., object], match: str
) -> None:
    broken(changed(sound("facet_writers"), overriding(write=wrong)), match)


def graph(change: Callable[[Any], Any]) -> Callable[..., KnowledgeGraph]:
    def changed_graph(inner: Any, genes: Sequence[str], runtime: Any) -> KnowledgeGraph:
        found = inner.graph(genes, runtime)
        return replace(found, weights=change(found.weights))

    return changed_graph


def more_genes(inner: Any, genes: Sequence[str], runtime: Any) -> KnowledgeGraph:
    found: KnowledgeGraph = inner.graph((*genes, "BRCA1"), runtime)
    return found


def by_degree(inner: Any, genes: Sequence[str], runtime: Any) -> KnowledgeGraph:
    found: KnowledgeGraph = inner.graph(genes, runtime)
    return replace(found, weights=sparse.csr_matrix(found.weights / max(1, found.weights.nnz)))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (graph(lambda w: w.tocsc()), "must be CSR"),
        (graph(lambda w: sparse.csr_matrix(w * 7)), r"\(0, 1\]"),
        (graph(lambda w: sparse.csr_matrix(w + sparse.identity(w.shape[0]) * 0.5)), "to itself"),
        (graph(lambda w: sparse.csr_matrix(sparse.triu(w))), "not symmetric"),
        (graph(lambda w: sparse.csr_matrix(w.shape)), "connects none"),
        (more_genes, "not asked for"),
        (by_degree, "depends on the other genes"),
    ],
)
def test_a_wrong_knowledge_graph_is_caught(
    sound: Callable[[str], Any], wrong: Callable[..., object], match: str
) -> None:
    broken(changed(sound("kg_sources"), overriding(graph=wrong)), match)


def absent(error: str) -> dict[str, Callable[..., object]]:
    def load(inner: Any, data_dir: Path, runtime: Any) -> None:
        raise DataUnavailableError(error.replace("PATH", str(data_dir / "absent.h5ad")))

    def status(inner: Any, data_dir: Path) -> DatasetStatus:
        return DatasetStatus(data_dir / "absent.h5ad", False, "not on disk")

    return {"load": load, "status": status}


def littering(inner: Any, data_dir: Path) -> DatasetStatus:
    (data_dir / "log.txt").write_text("asked")
    found: DatasetStatus = inner.status(data_dir)
    return found


def downloading(inner: Any, data_dir: Path, runtime: Any) -> object:
    import socket

    socket.create_connection(("127.0.0.1", 9), timeout=1)
    return inner.load(data_dir, runtime)


def differing(inner: Any, data_dir: Path, runtime: Any) -> object:
    return toy_data(ToyShape(seed=int(np.random.default_rng().integers(10**6))))


def inconsistent(inner: Any, data_dir: Path, runtime: Any) -> object:
    data = inner.load(data_dir, runtime)
    return replace(data, condition_codes=np.where(data.condition_codes == 0, -1, 1))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (absent("no network"), "must name the path"),
        ({"status": littering}, "status wrote"),
        ({"load": downloading}, "no network during a conformance check"),
        ({"load": inconsistent}, "every condition needs a cell"),
        ({"load": differing}, "status says that it is not there|two different data sets|exist"),
    ],
)
def test_a_wrong_data_source_is_caught(
    sound: Callable[[str], Any], wrong: dict[str, Callable[..., object]], match: str
) -> None:
    broken(changed(sound("datasets"), overriding(**wrong)), match)


def test_a_data_set_that_is_not_on_disk_may_say_so(sound: Callable[[str], Any]) -> None:
    check_plugin(changed(sound("datasets"), overriding(**absent("put it at PATH"))))


class Wrapped(nn.Module):
    """A module whose output is passed through a function of its inputs."""

    def __init__(self, inner: nn.Module, change: Callable[..., Any]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def prepare(self, pool: Any) -> None:
        prepare: Any = self.inner.prepare
        prepare(pool)

    def forward(self, *inputs: Any) -> Any:
        return self.change(self.inner(*inputs), *inputs)


def wrapped(change: Callable[..., Any]) -> Callable[[nn.Module], nn.Module]:
    return lambda inner: Wrapped(inner, change)


def attended(change: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Any:
    return wrapped(
        lambda out, cell, facets: AttentionOutput(*change(out.embedding, out.weights, cell, facets))
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (attended(lambda e, w, c, f: (e[..., :-1], w)), "embedding must be"),
        (attended(lambda e, w, c, f: (e, w[:, :, 0])), "weights must be"),
        (attended(lambda e, w, c, f: (e, w.double())), "float32"),
        (attended(lambda e, w, c, f: (e, w * 0.5)), "sum to 1"),
        (attended(lambda e, w, c, f: (e, w.roll(1, dims=3))), "unknown facet has a weight"),
        (attended(lambda e, w, c, f: (e + 1.0, w)), "is not zero"),
        (attended(lambda e, w, c, f: (e * torch.nan, w)), "NaN"),
        (attended(lambda e, w, c, f: (e * (1 + torch.rand(1)), w)), "evaluated twice"),
        (attended(lambda e, w, c, f: (e + e.sum(1, keepdim=True) * (e != 0), w)), "other genes"),
        (attended(lambda e, w, c, f: (e * (1 + f.values.abs().sum()), w)), "unknown facet holds"),
        (
            attended(lambda e, w, c, f: (e * torch.arange(1, e.shape[1] + 1)[:, None], w)),
            "order of the genes",
        ),
    ],
)
def test_a_wrong_attention_is_caught(
    sound: Callable[[str], Any], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    broken(changed(sound("attention"), change), match)


def test_an_attention_with_a_bad_gradient_is_caught(sound: Callable[[str], Any]) -> None:
    def poisoned(e: torch.Tensor, w: torch.Tensor, c: object, f: FacetBatch) -> Any:
        # The square root has an infinite slope at the zeros of a gene without a facet.
        return e + 0 * f.values.sum(2).abs().sqrt(), w

    broken(changed(sound("attention"), attended(poisoned)), "gradient is NaN")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (wrapped(lambda y, e, m, z, c: y[:, :-1]), "must return"),
        (wrapped(lambda y, e, m, z, c: y * torch.nan), "NaN"),
        (wrapped(lambda y, e, m, z, c: y + 0.1), "must return the control"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * torch.rand(1)), "evaluated twice"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * e.sum()), "padded slot holds"),
        (wrapped(lambda y, e, m, z, c: y + m[:, :1] * e[:, 0, :1]), "order of a combination"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * z.mean()), "rest of the batch"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * len(m)), "rest of the batch"),
    ],
)
def test_a_wrong_decoder_is_caught(
    sound: Callable[[str], Any], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    broken(changed(sound("decoders"), change), match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (wrapped(lambda b, i: replace(b, values=b.values[..., :-1])), "values must be"),
        (wrapped(lambda b, i: replace(b, null=b.null[:-1])), "null must be"),
        (wrapped(lambda b, i: replace(b, known=b.known.float())), "known must be bool"),
        (wrapped(lambda b, i: replace(b, confidence=b.confidence * 2)), r"in \[0, 1\]"),
        (wrapped(lambda b, i: replace(b, known=torch.ones_like(b.known))), "padded slot"),
        (wrapped(lambda b, i: replace(b, known=torch.zeros_like(b.known))), "has no known facet"),
        (wrapped(lambda b, i: replace(b, values=b.values + b.values.mean())), "padding or"),
        (wrapped(lambda b, i: replace(b, values=b.values * torch.rand(1))), "evaluated twice"),
        (lambda inner: Over(inner), "torch.nn.Module"),
    ],
)
def test_a_wrong_gene_encoder_is_caught(
    sound: Callable[[str], Any], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    broken(changed(sound("gene_encoders"), change), match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (wrapped(lambda s, i: s[:, :-1]), "cells must give"),
        (wrapped(lambda s, i: s / (i != i.max())[:, None]), "NaN or infinite"),
        (wrapped(lambda s, i: s + s.mean(0)), "rest of the batch"),
        (wrapped(lambda s, i: s + torch.arange(len(s))[:, None]), "twice in a batch"),
        (wrapped(lambda s, i: s * torch.rand(1)), "evaluated twice"),
    ],
)
def test_a_wrong_cell_encoder_is_caught(
    sound: Callable[[str], Any], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    broken(changed(sound("cell_encoders"), change), match)


def test_weights_that_are_not_saved_are_caught(sound: Callable[[str], Any]) -> None:
    class Forgetful(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.hidden = [inner]

        def forward(self, *inputs: Any) -> Any:
            return self.hidden[0](*inputs)

        def prepare(self, pool: Any) -> None:
            prepare: Any = self.hidden[0].prepare
            prepare(pool)

    for kind in ("attention", "gene_encoders", "cell_encoders"):
        broken(changed(sound(kind), Forgetful), "saved state restored")


def test_a_check_leaves_the_global_generators_alone(sound: Callable[[str], Any]) -> None:
    before = torch.random.get_rng_state()
    for kind in ("attention", "decoders", "gene_encoders", "cell_encoders"):
        check_plugin(sound(kind))
    assert torch.equal(torch.random.get_rng_state(), before)
