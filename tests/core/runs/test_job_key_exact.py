"""What names a job, and which seed it gets: values that must never change by accident.

A key that changes loses everybody's kept results; one that does not change where it should resumes
another job's numbers. Expected seeds were computed with ``sha256sum`` as the comments show.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.manager import Provenance
from dygenept.runs.keys_and_seeds import job_key, job_seed
from dygenept.runs.run_context import RunContext
from dygenept.types.mapping import DataMapping

SHARED = {
    "suite": "quick",
    "sha256": "ab",
    "split_sha256": "cd",
    "seed": 42,
    "de": "top20",
    "mapping": DataMapping(),
}
PLUGIN = Provenance(
    kind="baselines", name="ridge", owner="lab.ridge", distribution="lab", version="1.0"
)
MODEL = ResolvedModel(
    name="shown",
    base="ridge",
    role="baseline",
    needs_cells=False,
    config={"penalty": 0.1},
    plugins=(PLUGIN,),
    build=lambda: pytest.fail("naming a job must not build its model"),
)


def shared(**changes: object) -> RunContext:
    values: dict[str, Any] = {**SHARED, **changes}
    return cast(
        RunContext,
        SimpleNamespace(
            suite=values["suite"],
            data=SimpleNamespace(sha256=values["sha256"], mapping=values["mapping"]),
            split_sha256=values["split_sha256"],
            split=SimpleNamespace(seed=values["seed"]),
            de=SimpleNamespace(name=values["de"]),
        ),
    )


def hashed(document: dict[str, object]) -> str:
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def test_a_job_key_is_the_hash_of_what_determines_the_result() -> None:
    document = {
        "code": project_code().sha256,
        "config": {"penalty": 0.1},
        "dataset": "ab",
        "de_list": "top20",
        "fold": 1,
        "model": "ridge",
        "plugins": [["baselines", "ridge", "lab", "1.0", PLUGIN.code_sha256]],
        "seed": 42,
        "split": "cd",
        "suite": "quick",
    }
    assert job_key(shared(), MODEL, 1) == hashed(document)
    # A data set that is read otherwise than it says itself has one part more.
    mapped = {**document, "mapping": {"layer": "counts"}}
    assert job_key(shared(mapping=DataMapping(layer="counts")), MODEL, 1) == hashed(mapped)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suite", "full"),
        ("sha256", "ba"),
        ("split_sha256", "dc"),
        ("seed", 43),
        ("de", "top50"),
        ("mapping", DataMapping(layer="counts")),
        ("mapping", DataMapping(control=("NT",))),
    ],
)
def test_a_job_key_changes_with_everything_that_jobs_share(field: str, value: object) -> None:
    assert job_key(shared(**{field: value}), MODEL, 0) != job_key(shared(), MODEL, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"base": "linear"},
        {"config": {"penalty": 0.2}},
        {"plugins": ()},
        {"plugins": (replace(PLUGIN, version="1.1"),)},
        {"plugins": (replace(PLUGIN, distribution="other"),)},
        {"plugins": (replace(PLUGIN, name="knn"),)},
        {"plugins": (replace(PLUGIN, kind="metrics"),)},
        {"trained_by": "ef"},
    ],
)
def test_a_job_key_changes_with_the_model_its_options_and_its_plugins_versions(
    change: dict[str, object],
) -> None:
    changed = replace(MODEL, **change)  # type: ignore[arg-type]
    assert job_key(shared(), changed, 0) != job_key(shared(), MODEL, 0)


def test_a_job_key_changes_with_the_fold() -> None:
    keys = {job_key(shared(), MODEL, fold) for fold in range(5)}
    assert len(keys) == 5


def test_a_job_key_does_not_depend_on_the_shown_name() -> None:
    assert job_key(shared(), replace(MODEL, name="other"), 0) == job_key(shared(), MODEL, 0)


def test_a_job_seed_is_the_first_four_bytes_of_a_hash() -> None:
    # printf '42\x1fquick\x1f0\x1fridge' | sha256sum
    assert job_seed(42, "quick", 0, "ridge") == 0xAE07B0E1
    # printf '42' | sha256sum
    assert job_seed(42) == 0x73475CB4


def test_a_job_seed_changes_with_the_seed_and_with_every_name() -> None:
    seeds = {
        job_seed(seed, suite, fold, model)
        for seed in (0, 1)
        for suite in ("quick", "full")
        for fold in (0, 1)
        for model in ("ridge", "knn")
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_names_that_only_join_alike_get_seeds_of_their_own() -> None:
    assert job_seed(1, "a", "bc") != job_seed(1, "ab", "c")
    assert job_seed(1, "a") != job_seed(1, "a", "")
