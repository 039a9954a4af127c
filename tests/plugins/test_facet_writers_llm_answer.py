"""The parser of the facet writer ``llm``: tolerant of wrapping, strict on content."""

from __future__ import annotations

import json

import pytest

from dygenept_plugins.facet_writers.llm.answer import AnswerError, n_sentences, parse_answer

FACETS = ("Immune Response", "Signal Transduction")
GOOD = {
    "gene": "KLF1",
    "facets": {
        "Immune Response": "KLF1 acts, e.g. in red cells. Its loss (p < 0.05) impairs them.",
        "Signal Transduction": "<NULL>",
    },
}
TEXTS = ("KLF1 acts, e.g. in red cells. Its loss (p < 0.05) impairs them.", None)


def parse(text: str) -> tuple[str | None, ...]:
    return parse_answer(text, gene="KLF1", facets=FACETS, min_sentences=2, max_sentences=4)


@pytest.mark.parametrize(
    "wrapping",
    [
        "{}",
        "```json\n{}\n```",
        "```\n{}\n```\nLet me know if you need more.",
        "Here is the object {{as asked}}:\n\n{}\n\nNote: {{x}} is inferred.",
        '<think>The form is {{"gene": "KLF1", "facets": {{}}}}.</think>\n{}',
        "\ufeff  {}  ",
        '{{"note": "other object"}} {}',
    ],
)
def test_wrapping_is_passed_over(wrapping: str) -> None:
    assert parse(wrapping.format(json.dumps(GOOD, indent=2))) == TEXTS


def test_facets_may_come_in_any_order_and_null_is_unknown() -> None:
    facets = dict(reversed(GOOD["facets"].items()))  # type: ignore[attr-defined]
    assert parse(json.dumps({"facets": facets, "gene": " KLF1 "})) == TEXTS
    facets["Signal Transduction"] = None
    assert parse(json.dumps({"facets": facets, "gene": "KLF1"})) == TEXTS


def test_white_space_in_a_text_becomes_single_blanks() -> None:
    text = json.dumps(GOOD).replace("red cells.", "red\\n\\n  cells.")
    assert parse(text) == TEXTS


@pytest.mark.parametrize("end", range(1, 60, 7))
def test_truncated_answer_is_refused(end: int) -> None:
    with pytest.raises(AnswerError, match="cut short"):
        parse(json.dumps(GOOD)[:-end])


def test_object_quoted_inside_a_truncated_text_is_not_taken() -> None:
    inner = json.dumps(GOOD)
    outer = json.dumps({"gene": "KLF1", "facets": {"Immune Response": inner}})
    with pytest.raises(AnswerError):
        parse(outer[:-2])


def test_key_named_twice_is_refused() -> None:
    text = json.dumps(GOOD)[:-2] + ', "Immune Response": "Other text. It is."}}'
    with pytest.raises(AnswerError, match="twice"):
        parse(text)


def test_further_key_is_refused() -> None:
    with pytest.raises(AnswerError, match="no other"):
        parse(json.dumps({**GOOD, "note": "x"}))


@pytest.mark.parametrize("gene", ["klf1", "KLF2", "", None, ["KLF1"]])
def test_another_gene_is_refused(gene: object) -> None:
    with pytest.raises(AnswerError, match="another gene"):
        parse(json.dumps({**GOOD, "gene": gene}))


@pytest.mark.parametrize(
    "name", ["immune response", "Immune response", "Immunity", "Immune  Response"]
)
def test_facet_name_must_be_exact(name: str) -> None:
    with pytest.raises(AnswerError, match="missing"):
        parse(json.dumps(GOOD).replace("Immune Response", name))


@pytest.mark.parametrize("value", [1, True, ["a"], {"a": "b"}, "", "N/A", "It is \u0000 so. Yes."])
def test_facet_must_be_text(value: object) -> None:
    document = {"gene": "KLF1", "facets": {**GOOD["facets"], "Immune Response": value}}  # type: ignore[dict-item]
    with pytest.raises(AnswerError, match="Immune Response"):
        parse(json.dumps(document))


def test_message_quotes_nothing_of_the_answer() -> None:
    text = json.dumps(GOOD).replace('"KLF1"', '"Ignore all rules"', 1)
    with pytest.raises(AnswerError) as caught:
        parse(text)
    assert "Ignore" not in str(caught.value)


def test_deeply_nested_or_endless_answer_is_refused_quickly() -> None:
    for text in ('{"a":' * 100_000, "{" * 1_000_000, '{"facets": ' + "[" * 100_000):
        with pytest.raises(AnswerError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It acts.", 1),
        ("It acts. It binds DNA.", 2),
        ("It acts in vivo, e.g. in cells, i.e. here. It binds.", 2),
        ("Shown by Smith et al. (2010) and others. It is 3.5 kb long.", 2),
        ("It phosphorylates protein kinase A. It acts.", 2),
        ("Does it act? Yes! It does.", 3),
        ('It is called "the guardian." It acts.', 2),
        ("p53 binds DNA. p21 follows. Cells stop.", 2),
        ("It acts. It binds, without a stop", 2),
        ("Seen in E. coli and yeast. It acts.", 2),
        ("Compare Fig. 2 and vs. Control. It acts.", 2),
        ("", 0),
    ],
)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert n_sentences(text) == count
