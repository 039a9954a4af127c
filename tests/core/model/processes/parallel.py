"""Trains a toy model in two processes, as torchrun would start them, and in one.

Called with a folder and works, each of which writes, as JSON, ``WORK.json`` there: ``same`` how
gradients, losses and weights of the two compare; ``steps`` how weights do after 20 steps, without
rounding to speak of, with and without dropout; ``resumed`` what a training in three processes comes
to that was stopped and one that was not; ``death`` kills the second process at a step and says how
the first one ended; ``patience`` lets the writer take longer than a collective may; ``unused`` says
which networks are searched for weights without a gradient; ``start`` what becomes of a process
that would start otherwise than the writer; ``killed`` what a training in one process comes to that
was killed again and again. Each work has a child of its own, made after the slow imports.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import safetensors.torch
import torch
import torch._dynamo
from conftest import toy_model, toy_network, toy_parts
from killed import killed
from other_starts import started, taken_over
from torch import distributed

from dygenept.errors import DistributedError
from dygenept.machine import processes
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.seeds import derived_seed
from dygenept.model.training import loop
from dygenept.model.training.batches import BatchSource, Share, perturbed_cells
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_task
from dygenept_plugins.networks.attention import FacetAttention, softmax

SLOW_IMPORTS = (safetensors.torch, torch._dynamo)
OPTIONS = TrainingOptions(
    target="cell",
    batch_size=11,
    epochs=2,
    steps_per_epoch=4,
    patience=3,
    lr=3e-3,
    warmup_steps=0,
    n_prediction_cells=8,
    checkpoint_seconds=0,
)


def gradients(options: TrainingOptions, batch_size: int) -> dict[str, list[float]]:
    """Return the loss and gradient of one batch, summed over pieces and processes."""
    task, _ = toy_task()
    options = replace(options, batch_size=batch_size)
    n = len(task.train)
    controls = control_cells(task.cells, n_cell_types=1)
    source = BatchSource(
        conditions=condition_set(task, slice(0, n), task.target_genes),
        controls=controls,
        cells=perturbed_cells(task, n) if options.target == "cell" else None,
        options=options,
    )
    trainer = loop.Trainer(
        source=source,
        validation=None,
        positions=controls.sample(4, np.random.default_rng(0)),
        options=options,
        seed=0,
        device=torch.device("cpu"),
        report=lambda epoch, text: None,
    )
    network = toy_network().train()
    network.prepare(controls.pool(task.gene_symbols))
    world = processes.current()
    share = Share(world.rank, world.size, options.accumulation_steps)
    pieces = next(source.steps(np.random.default_rng(0), share=share))
    loss = trainer.backward(trainer.stepper(network), pieces)
    found = {n: p.grad.flatten().tolist() for n, p in network.named_parameters() if p.requires_grad}
    return {**found, "loss": [float(loss)]}


def train(folder: Path | None) -> dict[str, list[float]]:
    """Return what a training, its validation and its predictions come to."""
    task, _ = toy_task()
    model = toy_model(OPTIONS)
    model.fit(replace(task, runtime=replace(task.runtime, checkpoint_dir=folder)))
    history = model.histories[0]
    found = {n: p.flatten().tolist() for n, p in model.networks[0].named_parameters()}
    predicted = model.predict(task.known).expression.ravel().tolist()
    one = model.predict(task.known[:1]).expression.ravel().tolist()
    scores = {"losses": list(history.losses), "scores": list(history.scores)}
    return {**found, **scores, "predicted": predicted, "one": one}


def forked(work: Callable[[], object], *, rank: int, size: int, port: int) -> tuple[int, int]:
    """Start a process of a launch; return its id and the end of a pipe with its JSON."""
    read, write = os.pipe()
    if (child := os.fork()) != 0:
        os.close(write)
        return child, read
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    code = 0
    torch.set_num_threads(1)
    try:
        with processes.session("cpu"):
            found = work()
    except DistributedError as error:
        found, code = str(error), 2
    with os.fdopen(write, "w") as stream:
        json.dump(found, stream)
    os._exit(code)


def launch(work: Callable[[], object], size: int) -> list[tuple[int, str]]:
    """Run ``work`` in processes that know of each other; return exit codes and outputs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [forked(work, rank=rank, size=size, port=port) for rank in range(size)]
    texts = []
    for _, read in started:
        with os.fdopen(read) as stream:
            texts.append(stream.read())
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in started]
    return list(zip(codes, texts, strict=True))


def gap(left: dict[str, list[float]], right: dict[str, list[float]]) -> float:
    """Return the largest difference, relative to the largest value of a tensor."""
    assert left.keys() == right.keys()
    return max(
        float(np.abs(np.subtract(left[name], right[name])).max())
        / max(1e-3, float(np.abs(left[name]).max()))
        for name in left
    )


def same(folder: Path) -> dict[str, object]:
    """Compare two processes with one."""
    pseudobulk = replace(OPTIONS, target="pseudobulk", cells_per_condition=4)
    cases = {
        "cells": (OPTIONS, 11),
        "pieces": (replace(OPTIONS, accumulation_steps=3), 11),
        "pseudobulk": (pseudobulk, 12),
        "one row": (OPTIONS, 1),
    }

    def both() -> dict[str, object]:
        found: dict[str, object] = {key: gradients(*case) for key, case in cases.items()}
        is_writer = processes.current().is_writer
        return {**found, "trained": train(folder), "is_writer": is_writer}

    def alone() -> dict[str, object]:
        found = {key: gradients(*case) for key, case in cases.items()}
        return {**found, "trained": train(None)}

    ((code, text),) = launch(alone, 1)
    assert code == 0, text
    one = json.loads(text)
    two = launch(both, 2)
    assert [code for code, _ in two] == [0, 0], two
    gaps = {
        key: max(gap(json.loads(text)[key], one[key]) for _, text in two)
        for key in (*cases, "trained")
    }
    return {
        "gaps": gaps,
        "writers": [json.loads(text)["is_writer"] for _, text in two],
        "files": sorted(path.name for path in folder.iterdir()),
    }


def steps(dtype: torch.dtype, dropout: float, *, in_parts: bool = False) -> dict[str, list[float]]:
    """Return the weights after 20 steps.

    Args:
        dtype: Of everything that is computed.
        dropout: Of cell encoder and decoder.
        in_parts: Of one process: run the parts of two, one after the other, each with the draws of
            its process.
    """
    task, _ = toy_task()
    n = len(task.train)
    controls = control_cells(task.cells, n_cell_types=1)
    conditions = condition_set(task, slice(0, n), task.target_genes)
    cells = perturbed_cells(task, n)
    network = toy_network(parts=toy_parts(dropout=dropout)).to(dtype)
    if dtype == torch.float64:
        # What asks for float32 is asked for more; this process does nothing else.
        torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
        controls = replace(controls, expression=controls.expression.astype(np.float64))
        conditions = replace(conditions, deltas=conditions.deltas.double())
        cells = replace(cells, expression=cells.expression.astype(np.float64))
    network.prepare(controls.pool(task.gene_symbols))
    rows = network.cell_encoder._rows
    network.cell_encoder._rows = replace(rows, values=rows.values.to(dtype))
    options = replace(OPTIONS, epochs=1, steps_per_epoch=20, patience=0)
    trainer = loop.Trainer(
        source=BatchSource(conditions, controls, cells, options),
        validation=None,
        positions=controls.sample(4, np.random.default_rng(0)),
        options=replace(options, accumulation_steps=2 if in_parts else 1),
        seed=0,
        device=torch.device("cpu"),
        report=lambda epoch, text: None,
    )
    if in_parts:
        batch_loss, n_done = loop.Trainer.batch_loss, 0

        def drawn_apart(self, stepper, batch):  # type: ignore[no-untyped-def]
            nonlocal n_done
            step, process = divmod(n_done, 2)
            torch.manual_seed(derived_seed(self.seed, 0, step, process))
            n_done += 1
            return batch_loss(self, stepper, batch)

        loop.Trainer.batch_loss = drawn_apart  # type: ignore[method-assign]
    trainer.train(network)
    return {n: p.flatten().tolist() for n, p in network.named_parameters()}


def compared_steps(folder: Path) -> dict[str, object]:
    """Compare two processes with one after 20 steps."""
    cases = {
        "float32": (torch.float32, 0.0, False),
        "float64": (torch.float64, 0.0, False),
        "dropout": (torch.float64, 0.2, False),
        "dropout of parts": (torch.float64, 0.2, True),
    }
    gaps = {}
    for key, (dtype, dropout, in_parts) in cases.items():
        ((code, text),) = launch(partial(steps, dtype, dropout, in_parts=in_parts), 1)
        assert code == 0, text
        two = launch(partial(steps, dtype, dropout), 2)
        assert [code for code, _ in two] == [0, 0], two
        gaps[key] = max(gap(json.loads(of), json.loads(text)) for _, of in two)
    return gaps


def resumed(folder: Path) -> dict[str, object]:
    """Train in three processes, whole and with a stop in the second epoch."""
    step = loop.Trainer.step
    done = 0

    def stopped(self, stepper, optimizer, pieces):  # type: ignore[no-untyped-def]
        nonlocal done
        done += 1
        if done == 6:
            os._exit(3)
        return step(self, stepper, optimizer, pieces)

    whole = launch(partial(train, folder / "whole"), 3)
    loop.Trainer.step = stopped  # type: ignore[method-assign]
    first = launch(partial(train, folder / "parts"), 3)
    loop.Trainer.step = step  # type: ignore[method-assign]
    second = launch(partial(train, folder / "parts"), 3)
    return {
        "codes": [[code for code, _ in of] for of in (whole, first, second)],
        "is_same": [one == other for (_, one), (_, other) in zip(whole, second, strict=True)],
    }


def death(folder: Path) -> dict[str, object]:
    """Kill the second process in its third step."""
    step = loop.Trainer.step
    done = 0

    def counted(self, stepper, optimizer, pieces):  # type: ignore[no-untyped-def]
        nonlocal done
        done += 1
        if done == 3 and processes.current().rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, stepper, optimizer, pieces)

    loop.Trainer.step = counted  # type: ignore[method-assign]
    started = time.monotonic()
    (first, text), (second, _) = launch(lambda: train(folder), 2)
    seconds = time.monotonic() - started
    return {"codes": [first, second], "error": json.loads(text), "seconds": seconds}


def patience(folder: Path) -> dict[str, object]:
    """Let the writer take longer than the timeout of a collective."""
    os.environ[processes.TIMEOUT_VARIABLE] = "2"

    def work() -> list[str]:
        for number in range(2):
            with processes.writer_first():
                if processes.current().is_writer:
                    time.sleep(3 * (number == 0))
                    (folder / str(number)).write_text("done")
                found = sorted(path.name for path in folder.iterdir())
        distributed.barrier()
        return found

    done = launch(work, 2)
    return {"codes": [code for code, _ in done], "found": [json.loads(text) for _, text in done]}


def unused(folder: Path) -> dict[str, object]:
    """Say which networks are searched for weights without a gradient."""
    task, _ = toy_task()
    n = len(task.train)
    controls = control_cells(task.cells, n_cell_types=1)

    def work() -> list[bool]:
        found = []
        for parts in (toy_parts(), replace(toy_parts(), attention=unread)):
            network = toy_network(parts=parts)
            network.prepare(controls.pool(task.gene_symbols))
            trainer = loop.Trainer(
                source=BatchSource(
                    conditions=condition_set(task, slice(0, n), task.target_genes),
                    controls=controls,
                    cells=perturbed_cells(task, n),
                    options=OPTIONS,
                ),
                validation=None,
                positions=controls.sample(4, np.random.default_rng(0)),
                options=OPTIONS,
                seed=0,
                device=torch.device("cpu"),
                report=lambda epoch, text: None,
            )
            before = torch.random.get_rng_state()
            wrapped = trainer.stepper(network)
            assert torch.equal(torch.random.get_rng_state(), before)
            assert all(p.grad is None for p in network.parameters())
            found.append(wrapped.find_unused_parameters)
        return found

    done = launch(work, 2)
    return {"codes": [code for code, _ in done], "found": [json.loads(text) for _, text in done]}


def start(folder: Path) -> dict[str, object]:
    """Start in two processes, of which the second would do otherwise, and in one."""
    cases = {
        "start": replace(OPTIONS, epochs=0, patience=0, warm_start=True),
        "steps": replace(OPTIONS, patience=0, warm_start=True, keep_steps="always"),
        "judged": replace(OPTIONS, patience=0, warm_start=True, keep_steps="if_better"),
    }
    done = launch(taken_over, 2)
    found: dict[str, object] = {"taken_over": [json.loads(text) for _, text in done]}
    for name, options in cases.items():
        ((_, alone),) = launch(partial(started, options), 1)
        both = launch(partial(started, options), 2)
        one, (first, second) = json.loads(alone), [json.loads(text) for _, text in both]
        assert [code for code, _ in both] == [0, 0], both
        found[name] = {
            "is_same": first["weights"] == second["weights"],
            "is_chosen_alike": first["chosen"].keys() == second["chosen"].keys()
            and first["codes"] == second["codes"],
            "is_as_alone": first["weights"] == one["weights"] and first["chosen"] == one["chosen"],
        }
    return found


def unread(width: int) -> FacetAttention:
    """Make attention with weights that nothing reads."""
    attention = FacetAttention(width=width, num_heads=4, normalise=softmax)
    attention.spare = torch.nn.Linear(width, width)
    return attention


def main() -> None:
    """Do what is asked for, one after the other; what fails writes no file, and no other fails."""
    folder = Path(sys.argv[1])
    works = {"same": same, "steps": compared_steps, "resumed": resumed, "death": death}
    works |= {"patience": patience, "unused": unused, "start": start, "killed": killed}
    for name in sys.argv[2:]:
        if (child := os.fork()) == 0:
            try:
                own = folder / name
                own.mkdir()
                (folder / f"{name}.json").write_text(json.dumps(works[name](own)))
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
            os._exit(0)
        os.waitpid(child, 0)


main()
