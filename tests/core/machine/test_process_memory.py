from __future__ import annotations

import gc
import platform
import resource
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dygenept.machine.process_memory import give_back_memory, objects_settled

KEPT_AND_GIVEN_BACK = """
import resource
from pathlib import Path
import numpy as np
from dygenept.machine.process_memory import LARGE, freed_memory_kept, give_back_memory

def fill():
    # Above what glibc asks the system for by itself, and below what is never kept.
    assert np.ones(5_000_000).sum() == 5e6

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

give_back_memory()
before = resident()
with freed_memory_kept():
    fill()
    give_back_memory()
    assert resident() > before + 30_000_000
    with freed_memory_kept():
        pass
    assert resident() > before + 30_000_000
    # What is larger than that goes at once.
    assert np.ones(LARGE // 8 + 1).all()
    assert resident() < before + 60_000_000
assert resident() < before + 10_000_000
fill()
assert resident() < before + 10_000_000
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_freed_memory_is_kept_for_a_while_and_then_given_back() -> None:
    # In a process of its own: what other tests have left moves by itself.
    subprocess.run([sys.executable, "-c", KEPT_AND_GIVEN_BACK], check=True, timeout=120)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_memory_that_a_thread_has_freed_is_given_back() -> None:
    kept = []

    def fill() -> None:
        blocks = [np.ones(12_000) for _ in range(600)]
        # What is still used at the end of the thread's memory holds all before it back.
        kept.append(blocks[-1])

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join()
    before = resident()
    give_back_memory()
    assert resident() < before - 20_000_000


def test_settled_objects_are_left_alone_until_the_end() -> None:
    before = gc.get_freeze_count()
    with objects_settled():
        assert gc.get_freeze_count() > before
        with objects_settled():
            pass
        # Who settled first lets go.
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
