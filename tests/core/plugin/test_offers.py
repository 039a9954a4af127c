"""What plugins may offer must be seen by every Python that the project supports."""

from __future__ import annotations

import inspect
from typing import Any

from dygenept.plugin import (
    AddsFacetVectors,
    CellEncoderContext,
    CompilesLayers,
    ExtendsReadout,
    GeneEncoderContext,
    HasFacetVectors,
    HasIdentityShare,
    HasNotes,
    HasSharedShift,
    LendsFacets,
    LinearReadout,
    ReadsCodesOf,
    RecomputesLayers,
)
from dygenept.plugin.interfaces.offers import child_of, chosen_by, notes_of
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import CellEncoderSpec
from dygenept.testing import toy_control_pool, toy_knowledge
from dygenept.types import ChildResources
from dygenept_plugins.networks.attention import FacetAttention, softmax
from dygenept_plugins.networks.facets import FacetEncoder
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic

MEMBERS = {
    AddsFacetVectors: ("adding_vectors",),
    HasFacetVectors: ("facet_vectors",),
    HasIdentityShare: ("identity_shares", "set_identity_share"),
    LendsFacets: ("with_facets_of",),
    ExtendsReadout: ("add_readout",),
    ReadsCodesOf: ("codes_read", "read_codes_of"),
    LinearReadout: ("readout_features", "set_readout"),
    HasSharedShift: ("shared_features",),
    RecomputesLayers: ("recompute_layers",),
    CompilesLayers: ("compile_layers",),
    HasNotes: ("notes",),
}


def seen(part: object, protocol: Any) -> bool:
    """Say whether Python 3.12 and later, which look without ``__getattr__``, see the offer."""
    missing = object()
    return isinstance(part, protocol) and all(
        inspect.getattr_static(part, name, missing) is not missing for name in MEMBERS[protocol]
    )


def scgpt() -> Any:
    manager = PluginManager.load(load_registry().plugins, entry_points=False)
    spec = manager.get(CellEncoderSpec, "scgpt")
    pool = toy_control_pool()
    context = CellEncoderContext(pool.gene_symbols, pool.gene_symbols[:3], 8, seed=0)
    return spec.factory(spec.config(**spec.check_options), context)


def test_the_built_in_parts_are_seen_to_offer_what_the_start_asks_for() -> None:
    knowledge = toy_knowledge()
    encoder = FacetEncoder(GeneEncoderContext(knowledge, knowledge.genes, 16))
    decoder = LatentArithmetic(width=16, n_genes=5, hidden_dims=(8,))
    assert seen(encoder, HasFacetVectors)
    assert seen(FacetAttention(width=16, num_heads=2, normalise=softmax), AddsFacetVectors)
    assert seen(encoder, HasIdentityShare)
    assert seen(encoder, LendsFacets)
    assert seen(encoder, ReadsCodesOf)
    assert seen(decoder, LinearReadout)
    assert seen(decoder, ExtendsReadout)
    assert seen(decoder, HasSharedShift)


def test_scgpt_is_seen_to_offer_what_training_asks_for() -> None:
    for protocol in (RecomputesLayers, CompilesLayers, HasNotes):
        assert seen(scgpt(), protocol)


def test_a_model_that_offers_nothing_has_nothing_to_tell() -> None:
    assert notes_of(object()) == ()
    assert chosen_by(object()) == {}
    assert child_of(object()) is None


def test_what_a_model_offers_is_copied() -> None:
    class Offers:
        notes = ["random weights"]  # noqa: RUF012
        chosen = {"penalty": 0.1}  # noqa: RUF012
        child = ChildResources("abc", 1.0, 2)

    offers = Offers()
    assert notes_of(offers) == ("random weights",)
    assert chosen_by(offers) == {"penalty": 0.1}
    assert chosen_by(offers) is not offers.chosen
    assert child_of(offers) is offers.child
