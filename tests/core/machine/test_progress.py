"""Plain lines where stderr is no terminal."""

from __future__ import annotations

import pytest

from dygenept.machine import progress
from dygenept.machine.progress import shown_progress
from dygenept.types import Progress


def written(capsys: pytest.CaptureFixture[str], *reports: Progress, quiet: bool = False) -> str:
    with shown_progress(quiet=quiet) as report:
        for item in reports:
            report(item)
    return capsys.readouterr().err


REPORTS = (
    Progress("step", 0, 2, "step 1: corpus.jsonl"),
    *(Progress("write", number, 1000) for number in range(1001)),
    Progress("step", 1, 2, "step 3: embeddings.json"),
    Progress("epoch", 1, 5, "loss 0.1"),
    Progress("step", 2, 2, "done"),
)


def test_each_step_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys, *REPORTS).splitlines() == [
        "[1/2] step 1: corpus.jsonl",
        "Write facets",
        "[2/2] step 3: embeddings.json",
    ]


def test_quiet_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys, *REPORTS, quiet=True) == ""


def test_a_long_step_says_where_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    reports = [Progress("epoch", number, 20, "loss 0.1") for number in range(1, 7)]
    lines = written(capsys, *reports).splitlines()
    # Two reports a line, and a look at the clock for the line itself: at most one in ten seconds.
    said = [line.partition(", about ")[0] for line in lines]
    assert said == ["Epochs: loss 0.1 (3 of 20)", "Epochs: loss 0.1 (6 of 20)"]


def test_a_line_within_a_job_says_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.shown_progress() as report:
        for epoch in range(1, 5):
            now += 60.0
            report(Progress("epoch", epoch, 10, f"loss {epoch}"))
        report(Progress("epoch", 1, 10, "another fold"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Epochs: loss 1 (1 of 10)"
    assert lines[1] == "Epochs: loss 2 (2 of 10), about 8 min left"
    assert lines[3] == "Epochs: loss 4 (4 of 10), about 6 min left"
