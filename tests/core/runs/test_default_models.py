from __future__ import annotations

from pathlib import Path

import pytest

from dygenept.model.resolve import resolve_models
from dygenept.plugin.environment import Environment
from dygenept.runs.default_models import default_models


@pytest.mark.parametrize("effects", [False, True])
def test_the_linear_model_and_the_model_without_its_knowledge_stand_beside_it(
    tmp_path: Path, effects: bool
) -> None:
    environment = Environment.load(data_dir=tmp_path, cache_dir=tmp_path)
    choice = default_models(environment, effects=effects)
    assert "linear_loo" in choice.models
    assert "facets=identity and facets=shuffled beside it" in choice.reason
    models = resolve_models(choice.models, environment, variants=choice.controls)
    names = {model.name for model in models if model.role == "model"}
    assert names == {
        "dygenept_small",
        "dygenept_small[facets=identity]",
        "dygenept_small[facets=shuffled]",
    }
