"""``dygenept knowledge show``, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

import pytest


class Result(Protocol):
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.mark.parametrize("asked", ["KLF1", "EKLF", "ENSG00000105610"])
def test_a_gene_is_found_by_symbol_alias_and_ensembl_id(cli: Cli, asked: str) -> None:
    result = cli("knowledge", "show", asked, "--json", "--quiet")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["schema_version"] == 1
    assert (document["gene"], document["symbol"]) == (asked, "KLF1")
    regulation = document["facets"][0]
    assert len(document["facets"]) == 8
    assert (regulation["origin"], regulation["confidence"]) == ("native", 1.0)
    assert "RNA polymerase II" in regulation["text"]


def test_the_table_says_which_facets_are_unknown(cli: Cli) -> None:
    result = cli("knowledge", "show", "KLF1", "--quiet")
    assert result.code == 0, result.err
    assert "KLF transcription factor 1" in result.out
    assert "unknown" in result.out


def test_a_gene_that_nothing_knows_is_refused(cli: Cli) -> None:
    result = cli("knowledge", "show", "NOSUCHGENE1", "--quiet")
    assert result.code == 2
    assert "NOSUCHGENE1" in result.err
