"""The gene encoder ``facets``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dygenept.plugin.interfaces import GeneEncoderContext
from dygenept.testing import ConformanceError
from dygenept.testing.encoder_checks import check_gene_encoder
from dygenept.types import GeneKnowledge
from dygenept_plugins.gene_encoders.facets import FacetsConfig, dygenept_gene_encoders
from dygenept_plugins.networks.facets import FacetEncoder, symbol_codes

K, D_TEXT, WIDTH = 8, 12, 16


def knowledge(seed: int = 0) -> GeneKnowledge:
    rng = np.random.default_rng(seed)
    confidence = np.ones((5, K), dtype=np.float32)
    confidence[0, 3:] = 0
    confidence[1, 0] = 0.25
    confidence[2] = 0
    values = rng.normal(1.0, 1.0, (5, K, D_TEXT)).astype(np.float32)
    values[confidence == 0] = 0
    facets = tuple(f"facet{number}" for number in range(K))
    return GeneKnowledge("toy", "0", ("A", "B", "C", "D", "E"), facets, values, confidence)


def encoder(
    genes: tuple[str, ...] = ("B", "A", "C", "NOVEL", "D"), **options: bool
) -> FacetEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FacetEncoder(GeneEncoderContext(knowledge(), genes, WIDTH), **options)


def test_genes_are_found_by_name_not_by_position_in_the_knowledge() -> None:
    batch = encoder()(torch.tensor([[0, 1]]))
    assert batch.values.shape == (1, 2, K, WIDTH)
    np.testing.assert_array_equal(batch.confidence[0], knowledge().confidence[[1, 0]])


def test_padding_unknown_genes_and_empty_genes_have_no_known_facet() -> None:
    batch = encoder()(torch.tensor([[-1, 2, 3, -2]]))
    assert not batch.known.any()
    assert not batch.values.any()
    assert not batch.confidence.any()


def test_known_means_confidence_above_zero() -> None:
    batch = encoder()(torch.tensor([[1, 0, 4]]))
    assert torch.equal(batch.known, batch.confidence > 0)
    assert batch.known[0, 0].tolist() == [True] * 3 + [False] * 5


def test_facet_vectors_are_frozen_and_kept_out_of_checkpoints() -> None:
    module = encoder()
    assert {"values", "confidence"}.isdisjoint(module.state_dict())
    assert {"values", "confidence"}.isdisjoint(dict(module.named_parameters()))


def test_gradients_reach_adapter_facet_types_and_null() -> None:
    module = encoder()
    batch = module(torch.tensor([[0, 4]]))
    ((batch.values**2).sum() + batch.null.sum()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert not module.values.requires_grad


def test_standardised_vectors_ignore_a_part_common_to_all_genes() -> None:
    plain = knowledge()
    known = plain.confidence > 0
    shifted = GeneKnowledge(
        plain.name,
        plain.sha256,
        plain.genes,
        plain.facet_names,
        np.where(known[..., None], plain.values + np.float32(3), 0).astype(np.float32),
        plain.confidence,
    )
    module, other = encoder(), encoder()
    moved = FacetEncoder(GeneEncoderContext(shifted, ("B", "A", "C", "NOVEL", "D"), WIDTH))
    weights = {key: value for key, value in other.state_dict().items() if key != "centre"}
    moved.load_state_dict(weights, strict=False)
    index = torch.tensor([[0, 1, 4]])
    torch.testing.assert_close(moved(index).values, module(index).values, atol=1e-4, rtol=1e-4)


def test_a_facet_known_to_one_gene_alone_keeps_its_vector() -> None:
    one = encoder(("D",), standardise=True)
    assert not one.centre.any()
    assert torch.isfinite(one(torch.tensor([[0]])).values).all()


def test_a_trained_encoder_takes_in_new_genes_without_changing_the_old() -> None:
    trained = encoder(("B", "A", "D"))
    larger = encoder(("B", "A", "D", "E", "NOVEL"))
    larger.load_state_dict(trained.state_dict())
    index = torch.tensor([[0, 1, 2]])
    assert torch.equal(larger(index).values, trained(index).values)
    assert larger(torch.tensor([[3, 4]])).known.any(-1).tolist() == [[True, False]]


def of_own_codes() -> FacetEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        context = GeneEncoderContext(knowledge(), ("B", "A", "D", "E"), WIDTH)
        return FacetEncoder(context, identity_share=None)


def test_a_gene_without_facets_has_its_own_code_while_codes_are_all_that_is_read() -> None:
    genes = ("B", "A", "C", "NOVEL", "D")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = FacetEncoder(GeneEncoderContext(knowledge(), genes, WIDTH), identity_share=None)
    index = torch.tensor([[0, 2, 3, -1]])
    module.set_identity_share(1.0)
    batch = module(index)
    assert batch.known.any(dim=-1).tolist() == [[True, True, True, False]]
    # One facet stands for all, which are the same code.
    assert batch.known[0, 1].tolist() == [True] + [False] * (K - 1)
    assert torch.equal(batch.confidence > 0, batch.known)
    assert batch.confidence[0, 1, 0] == 1.0
    assert module.facet_types is not None
    own = module.adapter(module.codes[2]) + module.facet_types[0]
    torch.testing.assert_close(batch.values[0, 1, 0], own)
    assert not torch.allclose(batch.values[0, 1, 0], batch.values[0, 2, 0], atol=0.1)
    # Beside texts nothing is known of it.
    for share in (0.9, 0.0):
        module.set_identity_share(share)
        assert module(index).known.any(dim=-1).tolist() == [[True, False, False, False]]


def test_codes_are_left_unread_while_they_are_all_that_is_read() -> None:
    module = of_own_codes()
    module.set_identity_share(1.0)
    index = torch.tensor([[0, 2], [3, -1]])
    every = module(index)
    assert every.read is not None
    assert every.read.all()
    module.read_codes_of(torch.tensor([2, 1]))
    batch = module(index)
    assert batch.read is not None
    assert batch.read.tolist() == [[False, True], [False, False]]
    assert torch.equal(batch.known, every.known)
    assert torch.equal(batch.values[0, 1], every.values[0, 1])
    # Without a code there is nothing but the vectors that tell facets apart.
    assert module.facet_types is not None
    torch.testing.assert_close(batch.values[0, 0, :3], module.facet_types[:3])
    module.set_identity_share(0.9)
    beside_texts = module(index)
    assert beside_texts.read is not None
    assert beside_texts.read.all()
    module.read_codes_of(None)
    assert torch.equal(module(index).values, beside_texts.values)
    assert encoder()(index).read is None


def test_genes_met_later_have_unread_codes_where_any_are_unread() -> None:
    trained = of_own_codes()
    trained.set_identity_share(1.0)
    for read, later in ((None, True), (torch.tensor([0, 1, 2, 3]), False)):
        trained.read_codes_of(read)
        context = GeneEncoderContext(knowledge(), ("B", "A", "D", "E", "C", "NEW"), WIDTH, 4)
        larger = FacetEncoder(context, identity_share=None)
        larger.load_state_dict(trained.state_dict())
        batch = larger(torch.tensor([[3, 4, 5]]))
        assert batch.read is not None
        assert batch.read.tolist() == [[True, later, later]]
        found = larger.codes_read()
        assert found is None if read is None else torch.equal(found, read)


def test_an_encoder_that_reads_all_codes_is_restored_for_other_genes() -> None:
    trained = of_own_codes()
    fewer = FacetEncoder(GeneEncoderContext(knowledge(), ("C", "B"), WIDTH), identity_share=None)
    fewer.load_state_dict(trained.state_dict())
    assert fewer.codes_read() is None
    assert len(fewer.reads_code) == 3


def checked(change: Callable[[FacetEncoder], None]) -> None:
    """Check the plugin ``facets``, with a change to what its factory makes."""
    (spec,) = (each for each in dygenept_gene_encoders() if each.name == "facets")

    def altered(config: Any, context: GeneEncoderContext) -> FacetEncoder:
        module: Any = spec.factory(config, context)
        change(module)
        return module

    check_gene_encoder(
        dataclasses.replace(spec, factory=altered), options={"identity_share": "auto"}
    )


def test_an_encoder_that_chooses_its_share_passes_the_check() -> None:
    checked(lambda module: None)


def telling(of: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Read the codes of other genes than those that it is told."""

    def change(module: Any) -> None:
        tell = module.read_codes_of
        module.read_codes_of = lambda genes: tell(of(genes))

    return change


def forgets_codes(module: FacetEncoder) -> None:
    def forget(_: object, state: dict[str, torch.Tensor], prefix: str, of: object) -> None:
        del state[f"{prefix}reads_code"]

    module.register_state_dict_post_hook(forget)


def saying(of: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Any], None]:
    """Say otherwise of which genes anything is read."""

    def change(module: Any) -> None:
        module.register_forward_hook(
            lambda _, given, out: dataclasses.replace(out, read=of(out.read))
        )

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda module: setattr(module, "codes_read", lambda: torch.arange(2)), "None at first"),
        (lambda module: setattr(module, "codes_read", lambda: None), "must return the genes"),
        (telling(lambda genes: None if genes is None else genes[:1]), "must return the genes"),
        (saying(lambda read: ~read), "read must be True for the genes"),
        (saying(lambda read: None), "read must be True for the genes"),
        (forgets_codes, "of other genes"),
        (telling(lambda genes: torch.arange(2) if genes is None else genes), "read all"),
    ],
)
def test_an_encoder_that_leaves_other_codes_unread_is_caught(
    change: Callable[[FacetEncoder], None], match: str
) -> None:
    with pytest.raises(ConformanceError, match=match):
        checked(change)


def codes(*genes: str, n_fitted: int = 3) -> np.ndarray:
    return symbol_codes(genes, D_TEXT, n_fitted=n_fitted).numpy()


def test_the_code_of_a_gene_met_later_depends_on_it_and_on_the_fitted_genes_alone() -> None:
    alone = codes("A", "B", "C", "NEW")
    beside = codes("A", "B", "C", "OTHER", "NEW", "THIRD")
    np.testing.assert_array_equal(beside[4], alone[3])
    np.testing.assert_array_equal(beside[:3], alone[:3])
    np.testing.assert_allclose(alone @ alone[:3].T, D_TEXT * np.eye(4, 3), atol=1e-4)
    np.testing.assert_allclose(np.square(beside).sum(axis=1), D_TEXT, rtol=1e-5)
    assert abs(beside[3] @ beside[4]) > 1e-2


def test_codes_of_more_genes_than_there_are_directions_stay_as_drawn() -> None:
    fitted = tuple(f"G{number}" for number in range(D_TEXT))
    alone = codes(*fitted, "NEW", n_fitted=D_TEXT)
    beside = codes(*fitted, "OTHER", "NEW", n_fitted=D_TEXT)
    np.testing.assert_array_equal(beside[-1], alone[-1])
    np.testing.assert_array_equal(alone[-1], codes("NEW", n_fitted=1)[0])


@pytest.mark.parametrize("standardise", [True, False])
def test_raw_and_standardised_vectors_both_follow_the_definition(standardise: bool) -> None:
    module = encoder(standardise=standardise, facet_types=False)
    text = torch.from_numpy(knowledge().values[[1, 0, 2, 3]])  # B A C D; E is not in the context
    if standardise:
        mask = torch.from_numpy(knowledge().confidence[[1, 0, 2, 3]] > 0)
        for facet in range(K):
            rows = text[mask[:, facet], facet]
            rows = rows - rows.mean(0)
            text[mask[:, facet], facet] = rows / rows.norm(dim=-1, keepdim=True) * D_TEXT**0.5
    expected = module.adapter(text[0])
    torch.testing.assert_close(module(torch.tensor([[0]])).values[0, 0], expected)


def test_plugin_passes_its_options_on() -> None:
    spec, _ = dygenept_gene_encoders()
    context = GeneEncoderContext(knowledge(), ("A",), WIDTH)
    module = spec.factory(FacetsConfig(facet_types=False, standardise=False), context)
    assert isinstance(module, FacetEncoder)
    assert module.facet_types is None
    assert not module.is_standardised
