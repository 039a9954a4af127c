from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from dygenept.machine.threads import SMALL_NETWORK, one_thread, suited_threads
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_task

CPU = torch.device("cpu")


class Counted(nn.Module):
    """A network that says it has this many parameters, without holding them."""

    def __init__(self, n_parameters: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_parameters, device="meta"))


def test_a_small_network_runs_with_one_thread_and_the_setting_comes_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suited_threads(Counted(10), CPU):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with suited_threads(Counted(SMALL_NETWORK), CPU):
            assert torch.get_num_threads() == 2
        with suited_threads(Counted(10), torch.device("cuda")):
            assert torch.get_num_threads() == 2
        with one_thread():
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_predictions_do_not_depend_on_the_number_of_threads(
    make_model: Callable[..., DyGenePTModel],
) -> None:
    task, held_out = toy_task()
    predictions = []
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            model = make_model(TrainingOptions(epochs=1, steps_per_epoch=2, batch_size=16))
            model.fit(task)
            predictions.append(model.predict(held_out).expression)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*predictions)
