"""A model of a table over the toy screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from core.model.effects.toy_screen import OPTIONS, Maker, likeness

from dygenept.model.effects.table_model import TableModel, TableParts
from dygenept.model.network import Parts
from dygenept.model.training.options import TableOptions


@pytest.fixture
def make_table_model(make_parts: Callable[..., Parts]) -> Maker:
    def make(options: TableOptions = OPTIONS) -> TableModel:
        return TableModel(TableParts(make_parts(), likeness, options))

    return make
