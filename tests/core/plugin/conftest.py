"""Fixtures of the tests of isolated models."""

from __future__ import annotations

from pathlib import Path

import pytest
from core.plugin.small_children import BARE, MakeModel

from dygenept.plugin.isolated.model import IsolatedModel, IsolatedProgram


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make(tmp_path: Path) -> MakeModel:
    """Return a maker of models from the text of a script."""

    def model(text: str, *, timeout_s: float = 60.0, **options: object) -> IsolatedModel:
        script = tmp_path / "child.py"
        script.write_text(text)
        return IsolatedModel(
            IsolatedProgram(
                name="child",
                environment=BARE,
                script=script,
                inputs=("means",),
                options=options,
                timeout_s=timeout_s,
            )
        )

    return model
