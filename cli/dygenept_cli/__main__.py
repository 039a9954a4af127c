"""``python -m dygenept_cli``: the command line as a module."""

from __future__ import annotations

from dygenept_cli.main import run

run()
