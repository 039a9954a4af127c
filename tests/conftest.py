"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of data that may not ship, beside the checkout; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no folder {SHARED_DATA}: this test reads real data that does not ship")
    return SHARED_DATA


@pytest.fixture(scope="session")
def norman_subset(shared_data: Path) -> Path:
    """The real Norman subset: 3,375 cells × 250 genes in GEARS' layout."""
    return shared_data / "norman_subset" / "perturb_processed.h5ad"
