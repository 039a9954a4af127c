"""A local server in place of a paid endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dygenept.testing.local_endpoint import LocalEndpoint


@pytest.fixture
def endpoint() -> Iterator[LocalEndpoint]:
    """A well-behaved endpoint on this machine; set its ``respond`` to make it misbehave."""
    with LocalEndpoint() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_real_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_API_KEY", raising=False)
