"""The page of a prepared screen."""

from __future__ import annotations

import re

from dygenept.reports.screen_page import screen_page

HOSTILE = '<script>alert(1)</script>"\x1b[31m'


def condition(name: str, distance: float | None, q: float | None = 0.01) -> dict[str, object]:
    return {
        "perturbation": name,
        "cell_type": "K562",
        "n_cells": 1200,
        "change": 1.5,
        "split_half_r": -0.25,
        "energy_distance": distance,
        "p": q,
        "q": q,
    }


def page_of(*, modality: str = "CRISPRi", n_targets: int = 4, simulated: bool = False) -> str:
    manifest = {
        "source": {"sha256": "ab12"},
        "cells": {"in": 5000, "kept": 4000},
        "genes": {"in": 90, "kept": 80},
        "left_out": {"cells_with_few_genes": 1000, "cells_with_few_counts": 0},
        "options": {"modality": modality},
        "targets": {
            "expected": "down",
            "n_perturbations": n_targets,
            "share_as_expected": 0.75,
            "share_significant": 0.5,
            "alpha": 0.05,
        },
        "notes": [HOSTILE],
    }
    screen = {
        "name": HOSTILE,
        "simulated": simulated,
        "controls": {"K562": 700},
        "permutations": 199,
        "conditions": [
            condition("KLF1", 0.5),
            condition(HOSTILE, 2.0),
            condition("EGR1", None, None),
        ],
        "batches": [
            {"batch": f"b{n}", "n_cells": 30, "n_controls": n, "share_of_conditions": 0.5}
            for n in range(13)
        ],
    }
    return screen_page(manifest, screen, "2026-01-02")


def test_names_are_text_and_the_page_asks_for_nothing() -> None:
    shown = page_of()
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert shown.count("&lt;script&gt;") == 4
    assert "http" not in shown.replace("http-equiv", "")
    assert "default-src 'none'" in shown


def test_counts_strength_targets_and_batches_are_said() -> None:
    shown = page_of()
    for part in (
        "4,000 of 5,000",
        "left out: cells with few genes",
        "2 of 2 differ from control",
        "no p is below 0.0050",
        "the target goes down in 3 (75%), significantly in 2",
        "13 batches; a batch has a median of 50% of the conditions; 10 have fewer than 10",
        "and 1 more",
        "undefined for 1",
    ):
        assert part in shown
    assert "few counts" not in shown
    assert "need not fall" not in shown
    assert "need not fall" in page_of(modality="CRISPR knock-out")
    assert "Not checked: no single" in page_of(n_targets=0)
    # The strongest first.
    rows = re.findall(r'<tr><th scope="row">([^<]*)', shown)
    assert rows[1] == "KLF1"


def test_a_simulated_screen_says_so() -> None:
    assert "SIMULATED" in page_of(simulated=True)
    assert "SIMULATED" not in page_of()
