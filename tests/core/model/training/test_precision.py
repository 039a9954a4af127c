"""Number formats, compiling and recomputing: who is asked for what."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from core.model.training.toy_training import OPTIONS, Run
from torch import nn

from dygenept.errors import ConfigError
from dygenept.model.network import DyGenePT
from dygenept.model.training import loop
from dygenept.model.training import precision as precisions


def test_what_a_part_cannot_do_is_refused_before_the_first_step(network: DyGenePT) -> None:
    trainer = Run(network, replace(OPTIONS, gradient_checkpointing=True)).trainer()
    with pytest.raises(ConfigError, match="MlpCellState cannot recompute"):
        trainer.stepper(network)


def test_the_stepper_is_the_network_compiled_only_where_asked(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[DyGenePT] = []
    recomputed: list[DyGenePT] = []
    monkeypatch.setattr(loop, "compile_parts", compiled.append)
    monkeypatch.setattr(loop, "recompute_layers", recomputed.append)
    assert Run(network, OPTIONS).trainer().stepper(network) is network
    assert (compiled, recomputed) == ([], [])
    Run(network, replace(OPTIONS, compile=True)).trainer().stepper(network)
    assert (compiled, recomputed) == ([network], [])
    Run(network, replace(OPTIONS, gradient_checkpointing=True)).trainer().stepper(network)
    assert (compiled, recomputed) == ([network], [network])


class Recomputes(nn.Module):
    """A cell encoder that can do both, and says what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    def recompute_layers(self, wanted: bool) -> None:
        self.asked.append(wanted)

    def compile_layers(self) -> None:
        self.asked.append("compile")


def test_encoders_are_asked_to_recompute_and_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, decoder = Recomputes(), nn.Linear(1, 1)
    network = SimpleNamespace(cell_encoder=encoder, decoder=decoder)
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    precisions.recompute_layers(network)  # type: ignore[arg-type]
    assert encoder.asked == [True]
    precisions.compile_parts(network)  # type: ignore[arg-type]
    assert encoder.asked == [True, "compile"]
    assert compiled == [decoder]
    precisions.compile_parts(SimpleNamespace(cell_encoder=decoder, decoder=decoder))  # type: ignore[arg-type]
    assert compiled == [decoder, decoder]


def test_rocm_counts_as_having_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda", 0)
    asked: list[object] = []

    def properties(device: object) -> SimpleNamespace:
        asked.append(device)
        return SimpleNamespace(major=7)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.version, "hip", None)
    assert precisions.has_bfloat16(card) is False
    assert asked == [card]
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert precisions.has_bfloat16(card) is True


def test_a_card_without_bfloat16_falls_back_or_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = torch.device("cuda", 0)
    answer = [False]
    asked: list[object] = []
    monkeypatch.setattr(
        precisions, "has_bfloat16", lambda device: asked.append(device) or answer[0]
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert precisions.autocast_dtype(OPTIONS, card) is None
    assert asked == [card]
    with pytest.raises(ConfigError, match=r"bf16, but card 0 has no bfloat16"):
        precisions.autocast_dtype(replace(OPTIONS, precision="bf16"), card)
    answer[0] = True
    for precision, found in (("auto", torch.bfloat16), ("bf16", torch.bfloat16), ("float32", None)):
        options = replace(OPTIONS, precision=precision)  # type: ignore[arg-type]
        assert precisions.autocast_dtype(options, card) == found


def test_the_number_format_is_named_since_that_of_a_gpu_is_another_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda kind, **given: (kind, given))
    cpu = torch.device("cpu")
    for precision, dtype in (("bf16", torch.bfloat16), ("float32", None)):
        asked = precisions.autocast(replace(OPTIONS, precision=precision), cpu)  # type: ignore[arg-type]
        assert asked == ("cpu", {"dtype": dtype, "enabled": dtype is not None})


def test_bf16_is_used_in_the_forward_pass_alone(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, torch.dtype]] = []
    network.decoder.register_forward_pre_hook(
        lambda *_: seen.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
    )
    for precision in ("bf16", "float32"):
        options = replace(OPTIONS, precision=precision, epochs=1, steps_per_epoch=1)  # type: ignore[arg-type]
        Run(network, options, validates=False).train()
    assert seen[0] == (True, torch.bfloat16)
    assert seen[1][0] is False
