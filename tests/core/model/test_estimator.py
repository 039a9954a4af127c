from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dygenept.errors import ConfigError, DataError, DataUnavailableError, DygeneptError
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import Parts
from dygenept.model.training.options import LossOptions, TrainingOptions
from dygenept.types import Condition, GeneKnowledge, Perturbation, Progress, Runtime, Task

pytestmark = pytest.mark.usefixtures("few_tuning_steps")
QUICK = TrainingOptions(
    target="pseudobulk",
    batch_size=32,
    cells_per_condition=4,
    epochs=3,
    patience=0,
    lr=3e-3,
    warmup_steps=0,
    n_prediction_cells=16,
    checkpoint_seconds=0,
)
Maker = Callable[..., DyGenePTModel]
Read = Callable[..., GeneKnowledge]


def predictions(model: DyGenePTModel, task: Task) -> np.ndarray:
    return model.predict(task.known).expression


def with_runtime(task: Task, **changes: object) -> Task:
    return replace(task, runtime=replace(task.runtime, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["cell", "pseudobulk"])
def test_training_overfits_a_small_set(make_model: Maker, task: Task, target: str) -> None:
    options = replace(QUICK, target=target, epochs=40, lr=1e-2)
    model = make_model(options)
    model.fit(task)
    n = len(task.train)
    delta = task.means[:n] - task.control_means[0]
    known = [i for i, c in enumerate(task.train) if "CEBPA" not in c.genes]
    error = np.square(predictions(model, task)[:n] - task.means[:n])[known].mean()
    assert error < 0.25 * np.square(delta[known]).mean()
    losses = model.histories[0].losses
    assert losses[-1] < losses[0]


def test_the_same_seed_gives_the_same_predictions(make_model: Maker, task: Task) -> None:
    first, again, other = (make_model(QUICK, dropout=0.2) for _ in range(3))
    first.fit(task)
    again.fit(task)
    other.fit(with_runtime(task, seed=5))
    assert np.array_equal(predictions(first, task), predictions(again, task))
    assert not np.array_equal(predictions(first, task), predictions(other, task))


def test_global_random_states_are_left_as_they_were(make_model: Maker, task: Task) -> None:
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = make_model(replace(QUICK, warm_start=True), dropout=0.2)
    model.fit(task)
    model.predict([new_condition(task, "NEWGENE")])
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002


def new_condition(task: Task, *genes: str) -> Condition:
    return Condition(Perturbation("+".join(genes), tuple(sorted(genes))), task.cell_types[0])


def test_unseen_genes_and_larger_combinations_are_predicted(make_model: Maker, task: Task) -> None:
    model = make_model(QUICK)
    model.fit(task)
    genes = ("KLF1", "JUN", "MAPK1", "NOBODYKNOWS")
    asked = [new_condition(task, *genes[:n]) for n in range(1, 5)]
    asked.append(new_condition(task, "NOBODYKNOWS"))
    found = model.predict(asked)
    assert found.expression.shape == (5, len(task.gene_ids))
    assert np.isfinite(found.expression).all()
    assert (found.expression >= 0).all()
    alone = model.predict(asked[-1:])
    np.testing.assert_allclose(alone.expression[0], found.expression[-1], atol=1e-6)


def test_a_gene_met_after_training_is_read_from_its_knowledge(
    make_parts: Callable[..., Parts], make_model: Maker, task: Task
) -> None:
    full = make_model(QUICK)
    full.fit(task)
    held = "FOXO4"
    narrow = make_model(QUICK)
    kept = tuple(gene for gene in task.target_genes if gene != held)
    rows = [i for i, c in enumerate(task.train) if held not in c.genes]
    assert task.cells is not None
    place = np.full(len(task.known) + 1, -2, dtype=np.int32)
    place[rows], place[-1] = np.arange(len(rows)), -1
    codes = place[task.cells.condition_codes]
    seen = codes >= -1
    narrow.fit(
        replace(
            task,
            target_genes=kept,
            train=tuple(task.train[i] for i in rows),
            val=(),
            means=task.means[rows],
            n_cells=task.n_cells[rows],
            de_indices=task.de_indices[rows],
            cells=replace(
                task.cells,
                expression=task.cells.expression[seen],
                condition_codes=codes[seen],
                cell_type_codes=task.cells.cell_type_codes[seen],
                cell_ids=task.cells.cell_ids[seen],
            ),
        )
    )
    known, unknown = new_condition(task, held), new_condition(task, "NOBODYKNOWS")
    found = narrow.predict([known, unknown]).expression
    assert not np.allclose(found[0], found[1], atol=1e-4)
    assert narrow.explain([known]).weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert narrow.explain([unknown]).weights.sum() == 0


def test_a_new_gene_is_predicted_alike_whichever_others_are_asked_for(
    make_parts: Callable[..., Parts], make_model: Maker, task: Task, tmp_path: Path
) -> None:
    parts = make_parts(identity_share=0.7)
    model = make_model(replace(QUICK, epochs=1), parts=parts)
    model.fit(task)
    model.save(tmp_path / "model")

    def told(genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        facets_of = {"NEW1": "KLF1", "NEW2": "JUN", "NEW3": "KLF1"}
        known = model._read_knowledge([facets_of[gene] for gene in genes], runtime)
        return replace(known, genes=tuple(genes))

    def predicted(*asked: tuple[str, ...]) -> dict[str, np.ndarray]:
        loaded = DyGenePTModel.load(tmp_path / "model", parts=parts, knowledge=told)
        return {
            gene: row
            for genes in asked
            for gene, row in zip(
                genes,
                loaded.predict([new_condition(task, gene) for gene in genes]).expression,
                strict=True,
            )
        }

    first, second = predicted(("NEW1",))["NEW1"], predicted(("NEW2",))["NEW2"]
    for asked in ((("NEW1", "NEW2"),), (("NEW2", "NEW1"),), (("NEW2",), ("NEW3",), ("NEW1",))):
        found = predicted(*asked)
        np.testing.assert_allclose(found["NEW1"], first, atol=1e-6)
        np.testing.assert_allclose(found["NEW2"], second, atol=1e-6)
    # The same facets under another symbol: the code of its own is read.
    assert np.abs(predicted(("NEW3",))["NEW3"] - first).max() > 1e-4


def test_a_saved_model_has_no_gene_that_was_met_later(
    make_model: Maker, task: Task, tmp_path: Path
) -> None:
    model = make_model(QUICK)
    model.fit(task)
    model.predict([new_condition(task, "NOBODYKNOWS")])
    model.save(tmp_path / "model")
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    assert tuple(document["target_genes"]) == task.target_genes


def test_weights_of_an_explanation_sum_to_one_for_each_known_gene(
    make_model: Maker, task: Task
) -> None:
    model = make_model(replace(QUICK, n_members=2))
    model.fit(task)
    explained = model.explain(task.known)
    sums = explained.weights.sum(axis=-1)
    for row, condition in enumerate(task.known):
        for gene in range(sums.shape[1]):
            is_known = gene < len(condition.genes) and condition.genes[gene] != "CEBPA"
            assert sums[row, gene] == pytest.approx(float(is_known), abs=1e-5)
    assert len(explained.facet_names) == explained.weights.shape[2] == 8


def test_an_ensemble_predicts_the_mean_of_its_members(make_model: Maker, task: Task) -> None:
    options = replace(QUICK, n_members=2, clamp_min_zero=False)
    both = make_model(options)
    both.fit(task)
    together = predictions(both, task)
    members = list(both._networks)
    alone = []
    for member in members:
        both._networks = [member]
        alone.append(predictions(both, task))
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)
    assert not np.allclose(alone[0], alone[1])


def test_a_saved_model_predicts_the_same(
    make_parts: Callable[..., Parts], make_model: Maker, task: Task, tmp_path: Path
) -> None:
    model = make_model(replace(QUICK, n_members=2, warm_start=True))
    model.fit(task)
    model.predict([new_condition(task, "NOBODYKNOWS")])
    model.save(tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"model.json", "model.safetensors"}
    loaded = DyGenePTModel.load(
        tmp_path / "model", parts=make_parts(), knowledge=model._read_knowledge
    )
    assert np.array_equal(predictions(model, task), predictions(loaded, task))
    assert loaded.histories == model.histories
    asked = [new_condition(task, "NOBODYKNOWS", "KLF1")]
    assert np.array_equal(model.predict(asked).expression, loaded.predict(asked).expression)


def test_a_missing_damaged_or_foreign_model_is_named(
    make_parts: Callable[..., Parts], make_model: Maker, task: Task, tmp_path: Path
) -> None:
    model = make_model(QUICK)
    model.fit(task)

    def load() -> DyGenePTModel:
        return DyGenePTModel.load(tmp_path, parts=make_parts(), knowledge=model._read_knowledge)

    with pytest.raises(DataUnavailableError, match="no trained model"):
        load()
    model.save(tmp_path)
    document = tmp_path / "model.json"
    text = document.read_text()
    document.write_text(json.dumps({**json.loads(text), "format": 99}))
    with pytest.raises(DataError, match="format 99"):
        load()
    document.write_text(text[:100])
    with pytest.raises(DataError, match="damaged"):
        load()
    document.write_text(text)
    weights = load_file(tmp_path / "model.safetensors")
    name = "member.0.decoder.output.weight"
    save_file({**weights, name: weights[name][:, :3].clone()}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match="other parts or sizes"):
        load()
    damaged = {
        name: torch.full_like(weights[name], torch.nan),
        "control.indices": weights["control.indices"] + 10_000,
        "control.cell_types": weights["control.cell_types"] - 1,
        "control.means": weights["control.means"][:, 1:].clone(),
    }
    for changed, value in damaged.items():
        save_file({**weights, changed: value}, tmp_path / "model.safetensors")
        with pytest.raises(DataError, match="train it again"):
            load()


def test_an_unknown_cell_type_and_an_unfitted_model_are_named(
    make_model: Maker, task: Task
) -> None:
    model = make_model(QUICK)
    with pytest.raises(DataError, match="not trained"):
        model.predict(task.train)
    model.fit(task)
    with pytest.raises(DataError, match="'HeLa' was not in"):
        model.predict([replace(task.train[0], cell_type="HeLa")])


def test_a_task_without_cells_is_refused(make_model: Maker, task: Task) -> None:
    with pytest.raises(DataError, match="carries none"):
        make_model(QUICK).fit(replace(task, cells=None))


def test_training_stops_when_validation_no_longer_improves(make_model: Maker, task: Task) -> None:
    model = make_model(replace(QUICK, patience=2, epochs=60, lr=3e-2))
    model.fit(task)
    history = model.histories[0]
    assert len(history.scores) < 60
    assert len(history.scores) == history.best_epoch + 2
    assert history.best_epoch == int(np.argmax(history.scores)) + 1


def test_the_weights_of_the_best_epoch_are_kept(make_model: Maker, task: Task) -> None:
    stopped = make_model(replace(QUICK, patience=2, epochs=60, lr=3e-2, clamp_min_zero=False))
    stopped.fit(task)
    history = stopped.histories[0]
    n = len(task.train)
    delta = predictions(stopped, task)[n:] - task.control_means[0]
    truth = task.means[n:] - task.control_means[0]
    r = [
        np.corrcoef(delta[i][genes[genes >= 0]], truth[i][genes[genes >= 0]])[0, 1]
        for i, genes in enumerate(task.de_indices[n:])
    ]
    assert np.mean(r) == pytest.approx(max(history.scores), abs=1e-4)


def test_validation_conditions_are_not_trained_on(make_model: Maker, task: Task) -> None:
    n = len(task.train)
    means = task.means.copy()
    means[n:] += np.random.default_rng(0).random(means[n:].shape)
    assert task.cells is not None
    expression = task.cells.expression.copy()
    for row in np.flatnonzero(task.cells.condition_codes >= n):
        expression.data[expression.indptr[row] : expression.indptr[row + 1]] += 1.0
    other = replace(task, means=means, cells=replace(task.cells, expression=expression))
    for target in ("cell", "pseudobulk"):
        results = []
        for each in (task, other):
            model = make_model(replace(QUICK, target=target, warm_start=True))
            model.fit(each)
            results.append(predictions(model, task))
        assert np.array_equal(*results)
        model = make_model(replace(QUICK, target=target, fit_on_validation=True))
        model.fit(other)
        assert not np.array_equal(results[0], predictions(model, task))


class Killed(Exception):
    """Stands for a killed run."""


@pytest.mark.parametrize("patience", [0, 50])
def test_a_resumed_run_equals_an_uninterrupted_one(
    make_model: Maker, task: Task, tmp_path: Path, patience: int
) -> None:
    options = replace(QUICK, epochs=6, patience=patience, ema_decay=0.9, n_members=2)

    def stop(progress: Progress) -> None:
        if progress.step == 10:
            raise Killed

    whole = make_model(options, dropout=0.2)
    whole.fit(task)
    killed = make_model(options, dropout=0.2)
    with pytest.raises(Killed):
        killed.fit(with_runtime(task, checkpoint_dir=tmp_path, report=stop))
    steps: list[int] = []
    resumed = make_model(options, dropout=0.2)
    resumed.fit(with_runtime(task, checkpoint_dir=tmp_path, report=lambda p: steps.append(p.step)))
    assert steps == [11, 12]
    assert resumed.histories == whole.histories
    assert np.array_equal(predictions(resumed, task), predictions(whole, task))


def test_progress_names_epochs_over_all_members(make_model: Maker, task: Task) -> None:
    seen: list[Progress] = []
    model = make_model(replace(QUICK, n_members=2))
    model.fit(with_runtime(task, report=seen.append))
    assert [p.step for p in seen] == [1, 2, 3, 4, 5, 6]
    assert {p.total for p in seen} == {6}
    assert {p.stage for p in seen} == {"epoch"}
    assert all(p.message.startswith("val r=") for p in seen)


def test_a_diverging_training_says_how_to_mend_it(make_model: Maker, task: Task) -> None:
    means = task.means.copy()
    means[0, 0] = np.inf
    with pytest.raises(DygeneptError, match=r"training\.lr"):
        make_model(QUICK).fit(replace(task, means=means))


def test_the_loss_weights_change_what_is_learnt(make_model: Maker, task: Task) -> None:
    plain, directed = (
        make_model(QUICK),
        make_model(
            replace(QUICK, loss=LossOptions(mse_weight=0, de_mse_weight=0, direction_weight=1))
        ),
    )
    plain.fit(task)
    directed.fit(task)
    assert not np.allclose(predictions(plain, task), predictions(directed, task))
