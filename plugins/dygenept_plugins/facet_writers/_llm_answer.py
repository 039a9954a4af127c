"""Reads a language model's answer: tolerant of wrapping, strict on gene, facets and length."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence

from dygenept_plugins.facet_writers._llm_prompt import NULL

MAX_TEXT = 3000
MAX_OBJECTS = 50
_THINKING = re.compile(r"<think>.*?</think>", re.DOTALL)
# A dot after these ends no sentence.
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|cf|vs|etc|approx|al|Figs?|figs?|spp|ca|resp)\.$")
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s+[\"'(\[]?[^\sa-z]|\s*$)")


class AnswerError(Exception):
    """An answer that cannot be used; the message says why and quotes none of its text."""


def parse_answer(
    text: str, *, gene: str, facets: Sequence[str], min_sentences: int, max_sentences: int
) -> tuple[str | None, ...]:
    """Return the facet texts of an answer.

    Code fences, thinking, and text before or after the JSON object are passed over. All else must
    be right: one object, the gene that was asked for, exactly the facets asked for.

    Args:
        text: What the model wrote.
        gene: Symbol that the answer must name.
        facets: Facets that it must contain, in any order.
        min_sentences: Fewest sentences of a text.
        max_sentences: Most sentences of a text.

    Returns:
        One text per facet, in the order of ``facets``; None where the model wrote ``<NULL>``.

    Raises:
        AnswerError: If anything is wrong; nothing is taken from such an answer.
    """
    document = _only_object(text)
    if set(document) != {"gene", "facets"}:
        raise AnswerError('the object must have the keys "gene" and "facets" and no other')
    named, written = document["gene"], document["facets"]
    if not isinstance(named, str) or named.strip() != gene:
        raise AnswerError(f"the answer is for another gene than {gene}")
    if not isinstance(written, dict):
        raise AnswerError('"facets" must be an object')
    missing = [facet for facet in facets if facet not in written]
    if missing:
        raise AnswerError(f"the facet {missing[0]!r} is missing")
    if len(written) != len(facets):
        raise AnswerError(f"there are {len(written)} facets, expected only these {len(facets)}")
    return tuple(_text(written[facet], facet, min_sentences, max_sentences) for facet in facets)


def n_sentences(text: str) -> int:
    """Count the sentences of a text; one that does not end in a stop counts as well."""
    ends = [
        match.end()
        for match in _SENTENCE_END.finditer(text)
        if not _ABBREVIATION.search(text, max(0, match.start() - 12), match.start() + 1)
        or match.end() == len(text)
    ]
    return len(ends) + bool(text[ends[-1] if ends else 0 :].strip())


def _text(value: object, facet: str, fewest: int, most: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise AnswerError(f"the facet {facet!r} must be a text, not {type(value).__name__}")
    text = " ".join(value.split())
    if text.strip("\"'` ") == NULL:
        return None
    if NULL in text:
        raise AnswerError(f"the facet {facet!r} mixes text and {NULL}")
    if len(text) > MAX_TEXT:
        raise AnswerError(f"the facet {facet!r} is longer than {MAX_TEXT} characters")
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Cn", "Co") for sign in text):
        raise AnswerError(f"the facet {facet!r} holds characters that are not text")
    count = n_sentences(text)
    if not fewest <= count <= most:
        raise AnswerError(f"the facet {facet!r} has {count} sentences, expected {fewest}-{most}")
    return text


def _only_object(text: str) -> dict[str, object]:
    found = [item for item in _objects(_THINKING.sub(" ", text)) if "facets" in item]
    if not found:
        raise AnswerError("there is no whole JSON object with facets; it may have been cut short")
    if len(found) > 1:
        raise AnswerError("there is more than one JSON object with facets")
    return found[0]


def _objects(text: str) -> Iterator[dict[str, object]]:
    """Yield the outermost JSON objects in a text."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    start, n_tried = text.find("{"), 0
    while start >= 0 and n_tried < MAX_OBJECTS:
        n_tried += 1
        end = start + 1
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            yield value
        start = text.find("{", end)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise AnswerError("the object names a key twice")
    return dict(pairs)
