"""Checks of networks must catch what breaks a rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from dygenept.plugin.interfaces import (
    AttentionOutput,
    FacetBatch,
)


class Wrapped(nn.Module):
    """A module whose output is passed through a function of its inputs."""

    def __init__(self, inner: nn.Module, change: Callable[..., Any]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def prepare(self, pool: Any) -> None:
        prepare: Any = self.inner.prepare
        prepare(pool)

    def forward(self, *inputs: Any) -> Any:
        return self.change(self.inner(*inputs), *inputs)


def wrapped(change: Callable[..., Any]) -> Callable[[nn.Module], nn.Module]:
    return lambda inner: Wrapped(inner, change)


def attended(change: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Any:
    return wrapped(
        lambda out, cell, facets: AttentionOutput(*change(out.embedding, out.weights, cell, facets))
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (attended(lambda e, w, c, f: (e[..., :-1], w)), "embedding must be"),
        (attended(lambda e, w, c, f: (e, w[:, :, 0])), "weights must be"),
        (attended(lambda e, w, c, f: (e, w.double())), "float32"),
        (attended(lambda e, w, c, f: (e, w * 0.5)), "sum to 1"),
        (attended(lambda e, w, c, f: (e, w.roll(1, dims=3))), "unknown facet has a weight"),
        (attended(lambda e, w, c, f: (e + 1.0, w)), "is not zero"),
        (attended(lambda e, w, c, f: (e * torch.nan, w)), "NaN"),
        (attended(lambda e, w, c, f: (e * (1 + torch.rand(1)), w)), "evaluated twice"),
        (attended(lambda e, w, c, f: (e + e.sum(1, keepdim=True) * (e != 0), w)), "other genes"),
        (attended(lambda e, w, c, f: (e * (1 + f.values.abs().sum()), w)), "unknown facet holds"),
        (
            attended(lambda e, w, c, f: (e * torch.arange(1, e.shape[1] + 1)[:, None], w)),
            "order of the genes",
        ),
    ],
)
def test_a_wrong_attention_is_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("attention", change, match)


def test_an_attention_with_a_bad_gradient_is_caught(
    breaks: Callable[[str, Any, str], None],
) -> None:
    def poisoned(e: torch.Tensor, w: torch.Tensor, c: object, f: FacetBatch) -> Any:
        # The square root has an infinite slope at the zeros of a gene without a facet.
        return e + 0 * f.values.sum(2).abs().sqrt(), w

    breaks("attention", attended(poisoned), "gradient is NaN")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (wrapped(lambda y, e, m, z, c: y[:, :-1]), "must return"),
        (wrapped(lambda y, e, m, z, c: y * torch.nan), "NaN"),
        (wrapped(lambda y, e, m, z, c: y + 0.1), "must return the control"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * torch.rand(1)), "evaluated twice"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * e.sum()), "padded slot holds"),
        (wrapped(lambda y, e, m, z, c: y + m[:, :1] * e[:, 0, :1]), "order of a combination"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * z.mean()), "rest of the batch"),
        (wrapped(lambda y, e, m, z, c: y + m.any(1)[:, None] * len(m)), "rest of the batch"),
    ],
)
def test_a_wrong_decoder_is_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("decoders", change, match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (wrapped(lambda b, i: replace(b, values=b.values[..., :-1])), "values must be"),
        (wrapped(lambda b, i: replace(b, null=b.null[:-1])), "null must be"),
        (wrapped(lambda b, i: replace(b, known=b.known.float())), "known must be bool"),
        (wrapped(lambda b, i: replace(b, confidence=b.confidence * 2)), r"in \[0, 1\]"),
        (wrapped(lambda b, i: replace(b, known=torch.ones_like(b.known))), "padded slot"),
        (wrapped(lambda b, i: replace(b, known=torch.zeros_like(b.known))), "has no known facet"),
        (wrapped(lambda b, i: replace(b, values=b.values + b.values.mean())), "padding or"),
        (wrapped(lambda b, i: replace(b, values=b.values * torch.rand(1))), "evaluated twice"),
        (lambda inner: SimpleNamespace(inner=inner), "torch.nn.Module"),
    ],
)
def test_a_wrong_gene_encoder_is_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("gene_encoders", change, match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (wrapped(lambda s, i: s[:, :-1]), "cells must give"),
        (wrapped(lambda s, i: s / (i != i.max())[:, None]), "NaN or infinite"),
        (wrapped(lambda s, i: s + s.mean(0)), "rest of the batch"),
        (wrapped(lambda s, i: s + torch.arange(len(s))[:, None]), "twice in a batch"),
        (wrapped(lambda s, i: s * torch.rand(1)), "evaluated twice"),
    ],
)
def test_a_wrong_cell_encoder_is_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("cell_encoders", change, match)


def offering(**members: Any) -> Callable[[nn.Module], nn.Module]:
    """Give a sound module members that it offers to the harness."""

    def change(inner: nn.Module) -> nn.Module:
        for name, member in members.items():
            setattr(inner, name, member)
        return inner

    return change


def beside(**members: Any) -> Callable[[nn.Module], nn.Module]:
    """Offer members that the module's own prediction does not use."""
    sound = wrapped(lambda y, *inputs: y)
    return lambda inner: offering(set_readout=lambda weights: None, **members)(sound(inner))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (beside(readout_features=lambda e, m, z: e), "readout_features must be"),
        (beside(readout_features=lambda e, m, z: e.sum(1)), "readout_features must be zeros"),
        (offering(set_readout=lambda weights: None), "after set_readout"),
        (offering(add_readout=lambda weights: None), "add_readout must add"),
        (offering(shared_features=lambda cell: cell[:, :1]), "shared_features must be"),
    ],
)
def test_a_readout_that_is_not_what_the_start_relies_on_is_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("decoders", change, match)


def combining(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[nn.Module], nn.Module]:
    """Offer combinations that are, but for this change, what the decoder predicts."""

    def of(inner: nn.Module) -> nn.Module:
        def fix(
            embedding: torch.Tensor,
            cell: torch.Tensor,
            control: torch.Tensor,
            columns: torch.Tensor | None = None,
        ) -> Callable[[torch.Tensor], torch.Tensor]:
            def summed(genes: torch.Tensor) -> torch.Tensor:
                total = torch.zeros(len(genes), control.shape[1])
                for number in range(len(cell)):
                    state, one = (x[[number]].expand(len(genes), -1) for x in (cell, control))
                    total += inner(embedding[number][genes], genes >= 0, state, one) - one
                return change(total if columns is None else total[:, columns])

            return summed

        return offering(combining=fix)(inner)

    return of


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (combining(lambda summed: summed / 4), "summed over cells"),
        (combining(lambda summed: summed.nan_to_num() + 1e-2), "summed over cells"),
        (combining(lambda summed: summed.flip(1) if summed.shape[1] == 2 else summed), "columns"),
    ],
)
def test_combinations_that_are_not_what_the_decoder_predicts_are_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("decoders", change, match)


def lending(lend: Callable[..., FacetBatch]) -> Callable[[nn.Module], Any]:
    return lambda inner: offering(with_facets_of=lambda own, lenders: lend(inner, own, lenders))(
        inner
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (offering(facet_vectors=lambda: nn.Parameter(torch.zeros(3))), "trainable"),
        (offering(facet_vectors=lambda: nn.Parameter(torch.zeros(8, 32))), "must be added"),
        (lending(lambda encoder, own, lenders: encoder(own)), "other's confidences"),
        (lending(lambda encoder, own, lenders: encoder(own.roll(1, dims=0))), "as ever"),
        (offering(identity_shares=(), set_identity_share=lambda share: None), "identity_shares"),
        (offering(identity_shares=(2.0,), set_identity_share=lambda share: None), r"\[0, 1\]"),
    ],
)
def test_a_gene_encoder_that_offers_what_it_does_not_do_is_caught(
    breaks: Callable[[str, Any, str], None], change: Callable[[nn.Module], nn.Module], match: str
) -> None:
    breaks("gene_encoders", change, match)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"notes": "one sentence"}, "notes must be"),
        ({"chosen": {"penalty": torch.tensor(1.0)}}, "chosen must map"),
    ],
)
def test_notes_or_choices_that_no_record_can_keep_are_caught(
    breaks: Callable[[str, Any, str], None], members: dict[str, Any], match: str
) -> None:
    breaks("baselines", offering(**members), match)


def test_weights_that_are_not_saved_are_caught(breaks: Callable[[str, Any, str], None]) -> None:
    class Forgetful(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.hidden = [inner]

        def forward(self, *inputs: Any) -> Any:
            return self.hidden[0](*inputs)

        def prepare(self, pool: Any) -> None:
            prepare: Any = self.hidden[0].prepare
            prepare(pool)

    for kind in ("attention", "gene_encoders", "cell_encoders"):
        breaks(kind, Forgetful, "saved state restored")
