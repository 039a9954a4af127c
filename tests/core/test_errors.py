"""What errors suggest."""

from __future__ import annotations

from dygenept.errors import nearest


def test_the_nearest_spelling_is_named_and_all_that_is_allowed() -> None:
    said = nearest("sparsmax", ["softmax", "sparsemax", "mean"])
    assert said == "did you mean 'sparsemax'? known: mean, softmax, sparsemax"
    assert nearest("x", []) == "known: none"


def test_of_very_many_spellings_some_and_their_number_are_named() -> None:
    said = nearest("GENE1000", [f"GENE{number:04d}" for number in range(1092)])
    assert said.startswith("did you mean 'GENE1000'? known: GENE0000, GENE0001, ")
    assert said.endswith("GENE0019 and 1,072 more")
    assert "more" not in nearest("x", map(str, range(60)))
