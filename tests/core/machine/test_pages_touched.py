"""The pages of an array are brought in beside a block, where there are threads for it."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.machine.threads import OPENMP_VARIABLE, pages_touched


@pytest.mark.parametrize("n_threads", ["1", "2"])
def test_a_block_goes_on_and_what_it_reads_is_in_place(
    monkeypatch: pytest.MonkeyPatch, n_threads: str
) -> None:
    monkeypatch.setenv(OPENMP_VARIABLE, n_threads)
    array, done = np.ones((300, 7), dtype=np.int32), []
    with pages_touched(array):
        done.append("read")
    assert done == ["read"]
    array[:] = 5
    assert (array == 5).all()


def test_beside_a_block_the_array_is_zeroed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dygenept.machine.threads.n_threads", lambda: 2)
    array = np.ones(300)
    with pages_touched(array):
        pass
    assert not array.any()


def test_an_error_of_the_block_is_passed_on() -> None:
    with pytest.raises(OSError, match="damaged"), pages_touched(np.ones(3)):
        raise OSError("damaged")
