"""Outputs of scGPT's frozen layers: kept in memory or on disk, shared, bounded, exact."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from dygenept.errors import ConfigError
from dygenept.plugin.interfaces import CellEncoderContext, ControlPool
from dygenept.types import Progress, Runtime
from dygenept_plugins.cell_encoders.scgpt import CACHE_FOLDER, ScGptConfig, build, footprint
from dygenept_plugins.networks import scgpt_cells
from dygenept_plugins.networks.scgpt_cells import ScGptCellState

FIXTURES = Path(__file__).resolve().parent / "scgpt_fixtures"
GENES = tuple(f"GENE{number}" for number in range(48))
N = 24
PLACES = ("memory", "disk")


class Lab:
    """Builds encoders of the tiny checkpoint that share a cache folder, and counts their work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_encoded = 0

    def report(self, progress: Progress) -> None:
        if progress.stage == "encode" and progress.step == progress.total:
            self.n_encoded += progress.total

    def pool(self, rows: slice | list[int] = slice(None)) -> ControlPool:
        rng = np.random.default_rng(0)
        dense = rng.gamma(2.0, 0.8, (N, len(GENES))).astype(np.float32)
        dense[rng.random(dense.shape) < np.linspace(0.1, 0.9, N)[:, None]] = 0
        expression = sparse.csr_matrix(dense)[rows]
        return ControlPool(expression, GENES, [0] * expression.shape[0])

    def encoder(self, pool: ControlPool | None = None, **options: Any) -> ScGptCellState:
        chosen = {"checkpoint": str(FIXTURES), "freeze_layers": -2, "cache": "disk", **options}
        runtime = Runtime(cache_dir=self.folder, report=self.report)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = build(
                ScGptConfig.model_validate(chosen),
                CellEncoderContext(GENES, (), 12, seed=3, runtime=runtime),
            )
        assert isinstance(module, ScGptCellState)
        module.prepare(pool or self.pool())
        return module

    def files(self) -> list[Path]:
        return sorted((self.folder / CACHE_FOLDER).glob("*/*"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def losses_and_gradients(
    module: ScGptCellState, *, n_steps: int = 3
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Train a few steps with dropout and return what happened."""
    module.train()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(7)
        for step in range(n_steps):
            rows = torch.from_numpy(np.random.default_rng(step).choice(N, 6, replace=False))
            target = torch.randn(6, 12, generator=torch.Generator().manual_seed(step))
            loss = (module(rows) - target).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses, {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
@pytest.mark.parametrize("place", PLACES)
def test_losses_and_gradients_are_those_without_a_cache(
    lab: Lab, place: str, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scgpt_cells, "padding_slack", lambda device, width: 20)
    options = {"pooling": pooling, "dropout": 0.3}
    cached = lab.encoder(cache=place, **options)
    assert cached._frozen is not None
    fresh = lab.encoder(cache="off", **options)
    assert fresh._frozen is None
    losses, gradients = losses_and_gradients(cached)
    expected_losses, expected = losses_and_gradients(fresh)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)


def test_other_folds_members_and_pools_find_what_one_encoded_on_disk(lab: Lab) -> None:
    first = lab.encoder()
    assert lab.n_encoded == N
    second = lab.encoder(lab.pool([5, 2, 23]))
    assert lab.n_encoded == N
    rows = torch.tensor([0, 1, 2])
    torch.testing.assert_close(
        second.eval().embed(rows), first.eval().embed(torch.tensor([5, 2, 23]))
    )


def test_cells_that_the_disk_lacks_are_encoded_and_added(lab: Lab) -> None:
    lab.encoder(lab.pool(slice(0, 10)))
    whole = lab.encoder()
    assert lab.n_encoded == N
    assert len(lab.files()) == 2
    fresh = lab.encoder(cache="off")
    rows = torch.arange(N)
    torch.testing.assert_close(
        whole.eval().embed(rows), fresh.eval().embed(rows), atol=1e-5, rtol=1e-5
    )


def test_a_smaller_pool_is_taken_from_memory_without_encoding(lab: Lab) -> None:
    module = lab.encoder(cache="memory").eval()
    before = module.embed(torch.tensor([4, 9]))
    module.prepare(lab.pool([4, 9]))
    assert lab.n_encoded == N
    assert module._frozen is not None
    assert len(module._frozen.segments[0]) == int(module._lengths.sum())
    torch.testing.assert_close(module.embed(torch.tensor([0, 1])), before, atol=0, rtol=0)


def test_other_weights_layers_or_types_never_share_files(lab: Lab) -> None:
    module = lab.encoder()
    lab.encoder(freeze_layers=-1)
    lab.encoder(cache_dtype="bf16")
    with torch.no_grad():
        module.backbone.encoder.enc_norm.bias.add_(0.1)
    module.prepare(lab.pool())
    assert lab.n_encoded == 4 * N
    assert len({path.parent for path in lab.files()}) == 4


def test_trained_layers_do_not_decide_where_states_are_found(lab: Lab) -> None:
    module = lab.encoder()
    with torch.no_grad():
        module.backbone.transformer_encoder.layers[-1].linear1.bias.add_(0.1)
    module.prepare(lab.pool())
    assert lab.n_encoded == N


def test_weights_changed_between_two_preparations_are_encoded_anew(lab: Lab) -> None:
    module = lab.encoder(cache="memory").eval()
    before = module.embed(torch.arange(N))
    with torch.no_grad():
        module.backbone.encoder.enc_norm.bias.add_(torch.linspace(-1, 1, 16))
    module.prepare(lab.pool())
    assert lab.n_encoded == 2 * N
    assert not torch.allclose(module.embed(torch.arange(N)), before, atol=1e-2)


@pytest.mark.parametrize("place", PLACES)
def test_bf16_takes_half_the_bytes_and_stays_within_one_percent(lab: Lab, place: str) -> None:
    exact, rough = lab.encoder(cache=place), lab.encoder(cache=place, cache_dtype="bf16")
    assert exact._frozen is not None
    assert rough._frozen is not None
    assert rough._frozen.n_bytes * 2 == exact._frozen.n_bytes
    rows = torch.arange(N)
    reference, found = exact.eval().embed(rows), rough.eval().embed(rows)
    assert found.dtype == torch.float32
    assert 0 < (found - reference).norm() < 0.01 * reference.norm()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("freeze_layers", [-2, "all"])
def test_cells_beyond_the_cache_are_computed_anew_and_agree(
    lab: Lab, place: str, freeze_layers: int | str
) -> None:
    options = {"cache": place, "freeze_layers": freeze_layers}
    part = lab.encoder(cache_cells=10, **options).eval()
    assert part._frozen is not None
    assert part._frozen.has(np.arange(N)).tolist() == [True] * 10 + [False] * (N - 10)
    rows = torch.tensor([23, 0, 9, 10, 3, 23])
    whole = lab.encoder(**options).eval()
    torch.testing.assert_close(part.embed(rows), whole.embed(rows), atol=1e-5, rtol=1e-5)


def test_a_budget_keeps_the_cells_that_fit_and_names_it(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        module = lab.encoder(cache="memory", cache_bytes=10_000)
    assert module._frozen is not None
    assert 0 < module._frozen.n_bytes <= 10_000
    assert any("cache_bytes" in message for message in caplog.messages)


def test_the_folder_stays_within_its_budget_and_what_was_used_longest_ago_goes(lab: Lab) -> None:
    lab.encoder(lab.pool(slice(0, 8)))
    (first,) = lab.files()
    os.utime(first, (1, 1))
    lab.encoder(lab.pool(slice(8, 12)))
    (second,) = set(lab.files()) - {first}
    budget = second.stat().st_size + 3 * 48 * 16 * 4
    lab.encoder(lab.pool(slice(12, 14)), cache_bytes=budget)
    assert first not in lab.files()
    assert second in lab.files()
    assert sum(path.stat().st_size for path in lab.files()) <= budget + 4096


def test_a_damaged_file_is_named_removed_and_made_anew(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    expected = lab.encoder().eval().embed(torch.arange(N))
    (path,) = lab.files()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        found = lab.encoder().eval().embed(torch.arange(N))
    assert any("damaged" in message for message in caplog.messages)
    assert lab.n_encoded == 2 * N
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_an_interrupted_preparation_leaves_no_file(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: ScGptCellState, rows: object) -> Iterator[None]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ScGptCellState, "_encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.encoder()
    assert lab.files() == []


def test_without_a_usable_folder_states_stay_in_memory_and_the_log_says_so(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    (lab.folder / CACHE_FOLDER).write_text("in the way")
    with caplog.at_level(logging.WARNING):
        module = lab.encoder(cache="auto")
    assert module._frozen is not None
    assert any("no cache on disk" in message for message in caplog.messages)


def test_a_disk_cache_without_a_folder_is_refused() -> None:
    module = build(
        ScGptConfig(checkpoint=str(FIXTURES), cache="disk"),
        CellEncoderContext(GENES, (), 12, seed=0),
    )
    with pytest.raises(ConfigError, match="no cache folder"):
        module.prepare(Lab(Path()).pool())


def test_auto_keeps_a_checkpoints_states_on_disk_and_random_ones_in_memory(lab: Lab) -> None:
    lab.encoder(cache="auto")
    n_files = len(lab.files())
    assert n_files == 1
    lab.encoder(cache="auto", checkpoint=None, n_layers=3, d_model=16, n_heads=2)
    assert len(lab.files()) == n_files


def test_states_on_disk_are_mapped_not_read(lab: Lab) -> None:
    module = lab.encoder()
    assert module._frozen is not None
    # The tensor's storage is the whole file, header included.
    storage = module._frozen.segments[0].untyped_storage()
    (path,) = lab.files()
    assert storage.nbytes() >= path.stat().st_size - 4096


def test_long_cells_keep_the_same_genes_in_every_fold_where_layers_are_frozen() -> None:
    def tokens(seed: int, freeze_layers: int) -> list[int]:
        module = build(
            ScGptConfig(checkpoint=str(FIXTURES), max_length=8, freeze_layers=freeze_layers),
            CellEncoderContext(GENES, (), 12, seed=seed),
        )
        assert isinstance(module, ScGptCellState)
        module.prepare(Lab(Path()).pool())
        return module.table.tokens.tolist()

    assert tokens(1, -2) == tokens(2, -2)
    assert tokens(1, 0) != tokens(2, 0)


def test_the_footprint_of_a_configuration_is_what_its_cache_takes(lab: Lab) -> None:
    # Without a checkpoint every gene of the data set has a token.
    sizes = {"n_layers": 3, "d_model": 8, "n_heads": 2, "max_length": 30}
    options = {"checkpoint": None, "freeze_layers": -2, "cache": "memory", **sizes}
    pool = lab.pool()
    module = lab.encoder(pool, **options)
    expressed = np.diff(pool.expression.indptr).astype(np.int32)
    assert expressed.max() > 30 > expressed.min()
    found = footprint(ScGptConfig.model_validate(options), expressed, "cpu")
    assert (found.n_cached, found.cache_place) == (N, "memory")
    assert module._frozen is not None
    assert found.cache_bytes == module._frozen.n_bytes
    limited = ScGptConfig.model_validate({**options, "cache_cells": 5})
    assert footprint(limited, expressed, "cpu").n_cached == 5
    # A cell that is not kept runs through the frozen layer again in every step.
    assert footprint(limited, expressed, "cpu").step_flop > found.step_flop
