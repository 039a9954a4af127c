"""What an interrupted command says: what was kept, and the command line that goes on from there."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

NOTHING = "nothing was written"
JOBS = "jobs that had finished are recorded"
KEPT = {
    "bench": JOBS,
    "reproduce": JOBS,
    "score": "folds that had been scored are recorded",
    "train": "the last checkpoint is kept",
    "precompute": "steps that had finished, and answers of a language model, are kept",
    "data fetch": "files that were complete are kept",
    "env build": "environments that were complete are kept",
}
STARTS_ANEW = "--no-resume"


def resumption(arguments: Sequence[str]) -> Callable[[], None]:
    """Return what writes the one line about an interruption, on stderr.

    Args:
        arguments: The user's command line, the program first.
    """
    program, *given = arguments

    def say() -> None:
        from dygenept.machine.processes import launched

        if launched().is_writer:
            sys.stderr.write(f"dygenept: interrupted; {_advice(program, given)}\n")
            sys.stderr.flush()

    return say


def _advice(program: str, given: Sequence[str]) -> str:
    from dygenept.machine.processes import launched

    words = [word for word in given if not word.startswith("-")][:2]
    kept = KEPT.get(" ".join(words)) or KEPT.get(" ".join(words[:1]))
    command = shlex.join([*_called(program), *(word for word in given if word != STARTS_ANEW)])
    if launched().size > 1:
        command = f"torchrun as before, with: {command}"
    if kept is None:
        return f"{NOTHING}; start again with: {command}"
    return f"{kept}; resume with: {command}"


def _called(program: str) -> list[str]:
    """Return how the program is called: by its name where the shell finds it under that."""
    path = Path(program)
    if path.name == "__main__.py":
        return ["python", "-m", path.parent.name]
    found = shutil.which(path.name)
    return [path.name if found and Path(found).samefile(program) else program]
