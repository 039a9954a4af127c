"""What a plugin prints goes to stderr, from any number of threads; stdout stays the program's."""

from __future__ import annotations

import sys
import threading

import pytest

from dygenept.errors import PluginError
from dygenept.plugin.faults import plugin_code


def test_what_is_printed_inside_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with plugin_code("outer"):
        sys.stdout.write("one\n")
        with plugin_code("inner"):
            sys.stdout.write("two\n")
        sys.stdout.write("three\n")
    sys.stdout.write("result\n")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("result\n", "one\ntwo\nthree\n")


def test_threads_that_overlap_leave_stdout_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """The first in is the first out, which a redirection that nests would not survive."""
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with plugin_code("first"):
            first_in.set()
            assert second_in.wait(20)
        first_out.set()

    def second() -> None:
        assert first_in.wait(20)
        with plugin_code("second"):
            second_in.set()
            assert first_out.wait(20)
            sys.stdout.write("still inside\n")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    sys.stdout.write("result\n")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("result\n", "still inside\n")


def test_stdout_is_back_after_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(PluginError, match="mine: fit raised SystemExit: 3"),
        plugin_code("mine: fit"),
    ):
        raise SystemExit(3)
    sys.stdout.write("result\n")
    assert capsys.readouterr().out == "result\n"
