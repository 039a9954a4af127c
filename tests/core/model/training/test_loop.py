from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dygenept.errors import ConfigError
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import DyGenePT
from dygenept.model.training.batches import BatchSource, Share, perturbed_cells
from dygenept.model.training.loop import Trainer
from dygenept.model.training.options import TrainingOptions
from dygenept.model.training.precision import autocast_dtype, recompute_layers
from dygenept.model.training.prefetch import prefetched
from dygenept.testing import toy_task
from dygenept.types import Task

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    batch_size=12,
    epochs=2,
    patience=0,
    steps_per_epoch=3,
    cells_per_condition=4,
    warmup_steps=0,
    n_prediction_cells=8,
)


def source(task: Task, options: TrainingOptions) -> BatchSource:
    assert task.cells is not None
    n = len(task.train)
    return BatchSource(
        conditions=condition_set(task, slice(0, n), task.target_genes),
        controls=control_cells(task.cells, n_cell_types=1),
        cells=perturbed_cells(task, n) if options.target == "cell" else None,
        options=options,
    )


def trainer(task: Task, options: TrainingOptions) -> Trainer:
    return Trainer(
        source=source(task, options),
        validation=None,
        positions=np.arange(4),
        options=options,
        seed=0,
        device=CPU,
        report=lambda epoch, text: None,
    )


def gradients(network: DyGenePT, options: TrainingOptions) -> list[torch.Tensor]:
    task, _ = toy_task()
    each = trainer(task, options)
    network.prepare(each.source.controls.pool(task.gene_symbols))
    network.train().zero_grad(set_to_none=True)
    share = Share(pieces=options.accumulation_steps)
    loss = each.backward(network, next(each.source.steps(np.random.default_rng(3), share=share)))
    return [loss, *(p.grad.clone() for p in network.parameters() if p.grad is not None)]


@pytest.mark.parametrize("target", ["cell", "pseudobulk"])
@pytest.mark.parametrize("n_pieces", [2, 5, 40])
def test_the_pieces_of_a_batch_add_up_to_its_gradient(
    network: DyGenePT, target: str, n_pieces: int
) -> None:
    options = replace(OPTIONS, target=target)
    whole = gradients(network, options)
    pieces = gradients(network, replace(options, accumulation_steps=n_pieces))
    assert len(whole) == len(pieces) > 10
    for left, right in zip(whole, pieces, strict=True):
        torch.testing.assert_close(right, left, rtol=1e-4, atol=1e-6)


def test_shares_and_pieces_hold_every_row_of_a_batch_once() -> None:
    task, _ = toy_task()
    batches = source(task, replace(OPTIONS, batch_size=11))
    (whole,) = next(batches.steps(np.random.default_rng(0)))
    parts = [
        piece
        for rank in range(3)
        for piece in next(batches.steps(np.random.default_rng(0), share=Share(rank, 3, 2)))
    ]
    assert [part.weight for part in parts] == [1.0] * len(parts)
    assert torch.equal(torch.cat([part.target for part in parts]), whole.target)
    assert {part.counts for part in parts} == {whole.counts}


def test_an_epoch_entered_in_its_middle_goes_on_as_it_would_have() -> None:
    task, _ = toy_task()
    batches = source(task, OPTIONS)
    whole = [pieces[0].target for pieces in batches.steps(np.random.default_rng(0))]
    rest = [pieces[0].target for pieces in batches.steps(np.random.default_rng(0), first=2)]
    assert len(whole) == 3
    assert len(rest) == 1
    assert torch.equal(whole[2], rest[0])


def test_each_distinct_cell_and_gene_of_a_batch_is_encoded_once(network: DyGenePT) -> None:
    seen: list[int] = []
    network.cell_encoder.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    network.gene_encoder.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    cells = torch.tensor([3, 3, 5, 3, 5, 3])
    genes = torch.tensor([[0, 1], [0, -1], [1, 0], [0, 1], [2, -1], [0, -1]])
    control = torch.rand(6, network.decoder.output.out_features)
    network(genes, cells, control)
    assert sorted(seen) == [2, 4]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_batches_made_ahead_change_nothing(
    make_model: Callable[..., DyGenePTModel], depth: int
) -> None:
    task, _ = toy_task()
    plain, ahead = (make_model(replace(OPTIONS, prefetch=n), dropout=0.2) for n in (0, depth))
    plain.fit(task)
    ahead.fit(task)
    assert plain.histories == ahead.histories


def test_a_failure_while_making_a_batch_reaches_the_step() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no such row")

    ahead = prefetched(items(), 2)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="no such row"):
        next(ahead)


def test_leaving_an_epoch_early_ends_the_thread_that_makes_batches() -> None:
    before = threading.active_count()
    ahead = prefetched(iter(range(1000)), 2)
    assert [next(ahead), next(ahead)] == [0, 1]
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before


def test_bf16_is_honoured_on_the_cpu_and_auto_is_float32_there() -> None:
    assert autocast_dtype(OPTIONS, CPU) is None
    assert autocast_dtype(replace(OPTIONS, precision="float32"), CPU) is None
    assert autocast_dtype(replace(OPTIONS, precision="bf16"), CPU) == torch.bfloat16


def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = torch.device("cuda", 0)
    for generation, found in ((7, None), (8, torch.bfloat16), (9, torch.bfloat16)):
        properties = SimpleNamespace(major=generation)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, it=properties: it)
        assert autocast_dtype(OPTIONS, card) == found
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=7))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old card")
    with pytest.raises(ConfigError, match=r"an old card has no bfloat16; use --set training\.prec"):
        autocast_dtype(replace(OPTIONS, precision="bf16"), card)


def test_a_bf16_step_differs_a_little_and_its_loss_is_float32(network: DyGenePT) -> None:
    exact = gradients(network, OPTIONS)
    rough = gradients(network, replace(OPTIONS, precision="bf16"))
    assert rough[0].dtype == torch.float32
    assert rough[0] != exact[0]
    torch.testing.assert_close(rough[0], exact[0], rtol=0.02, atol=0)
    largest = max(float(gradient.abs().max()) for gradient in exact)
    for left, right in zip(exact[1:], rough[1:], strict=True):
        assert right.dtype == torch.float32
        assert float((left - right).abs().max()) < 0.1 * largest


def test_a_cell_encoder_that_cannot_recompute_is_named(network: DyGenePT) -> None:
    with pytest.raises(ConfigError, match="MlpCellState cannot recompute"):
        recompute_layers(network)


def test_options_that_change_memory_and_time_alone_keep_a_checkpoint(
    make_model: Callable[..., DyGenePTModel], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task, _ = toy_task()
    kept = replace(task, runtime=replace(task.runtime, checkpoint_dir=tmp_path))
    whole = make_model(OPTIONS)
    whole.fit(kept)
    resumed = make_model(replace(OPTIONS, accumulation_steps=2, prefetch=0, checkpoint_seconds=1))
    resumed.fit(kept)
    assert resumed.histories == whole.histories
    assert "restarts" not in caplog.text
