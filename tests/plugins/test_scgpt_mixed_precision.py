"""``scgpt_finetune`` in half precision: gradients too small for float16 survive, on a CPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dygenept_plugins.baselines import _scgpt_child

CPU = torch.device("cpu")
# Of the loss: the gradient is below float16's smallest number, 6e-8.
SMALL = 1e-9


def gradients(dtype: torch.dtype | None, *, is_scaled: bool = True) -> torch.Tensor:
    """Return the gradient that the optimiser is given for a loss with a small gradient."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(8, 4, bias=False)
    torch.nn.init.normal_(layer.weight, generator=generator)
    inputs = torch.randn(16, 8, generator=generator)
    steps = _scgpt_child.Steps(torch.optim.SGD(layer.parameters(), lr=0.0), CPU, dtype)
    if not is_scaled:
        steps.scaler = torch.amp.GradScaler("cpu", enabled=False)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        output = layer(inputs)
    steps.take(SMALL * output.float().square().mean())
    assert layer.weight.grad is not None
    return layer.weight.grad


def test_small_gradients_survive_float16_only_with_a_scale() -> None:
    exact = gradients(None)
    assert float(exact.abs().max()) > 0
    torch.testing.assert_close(gradients(torch.float16), exact, rtol=0.02, atol=2e-12)
    lost = gradients(torch.float16, is_scaled=False)
    assert float((lost == 0).float().mean()) > 0.9


def test_bfloat16_needs_no_scale() -> None:
    steps = _scgpt_child.Steps(
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), CPU, torch.bfloat16
    )
    assert not steps.scaler.is_enabled()
    torch.testing.assert_close(gradients(torch.bfloat16), gradients(None), rtol=0.05, atol=2e-11)


def test_a_step_that_overflows_changes_nothing_and_lowers_the_scale() -> None:
    weight = torch.ones(1, requires_grad=True)
    steps = _scgpt_child.Steps(torch.optim.SGD([weight], lr=0.1), CPU, torch.float16)
    before = steps.scaler.get_scale()
    steps.take((weight * torch.inf).sum())
    assert weight.item() == 1.0
    assert steps.scaler.get_scale() == before / 2
    steps.take(weight.sum())
    # The gradient is 1, and so is the norm that it is clipped to.
    assert weight.item() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("generation", "hip", "expected"),
    [(7, None, torch.float16), (8, None, torch.bfloat16), (9, None, torch.bfloat16),
     (7, "6.0", torch.bfloat16)],
)  # fmt: skip
def test_bfloat16_is_taken_where_a_gpu_has_it(
    generation: int,
    hip: str | None,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        _scgpt_child,
        "torch",
        SimpleNamespace(
            cuda=SimpleNamespace(get_device_capability=lambda device: (generation, 0)),
            version=SimpleNamespace(hip=hip),
            bfloat16=torch.bfloat16,
            float16=torch.float16,
        ),
    )
    assert _scgpt_child.autocast_dtype(torch.device("cuda", 0)) is expected
    assert _scgpt_child.autocast_dtype(CPU) is None
