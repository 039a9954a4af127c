"""Tasks that several tests of the closed-form start share."""

from __future__ import annotations

import pytest
from core.model.start.seen_genes_case import singles_task

from dygenept.model.start import facet_tuning
from dygenept.types import Task


@pytest.fixture
def singles(monkeypatch: pytest.MonkeyPatch) -> Task:
    """Return single perturbations, whose facets are not tuned."""
    monkeypatch.setattr(facet_tuning, "MIN_CONDITIONS", 10**6)
    return singles_task()[0]
