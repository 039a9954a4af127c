"""Names of submissions: nobody takes one for another's."""

from __future__ import annotations

import pytest

from dygenept.errors import ConfigError
from dygenept.results.submission_names import (
    TakenName,
    check_not_taken,
    clean_name,
    skeleton,
    versioned,
)

BUILT_IN = ("perturbed_mean", "ridge", "technical_duplicate", "knn", "scgpt")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "perturbed_mean",
            " perturbed_mean ",
            "Perturbed Mean",
            "PERTURBED-MEAN",
            "perturbedmean",
        ),
        *(
            "perturbed.mean",
            "ｐerturbed_mean",
            "pérturbed_mean",
            "perturbed_rnean",
            "r1dge",
            "RlDGE",
        ),
        *("ridge v2", "ridge (ceiling)", "technical_duplicate (ceiling)", "ridge (submitted)"),
        *("perturbed\u00a0mean", "perturbed\tmean", "𝓻𝓲𝓭𝓰𝓮"),
    ],
)
def test_what_looks_like_a_model_of_the_harness_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="a model of the harness is called"):
        check_not_taken(clean_name(name), BUILT_IN)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ре\u0072turbed_mean", "CYRILLIC SMALL LETTER ER"),
        ("κnn", "GREEK SMALL LETTER KAPPA"),
        ("r\u0131dge", "LATIN SMALL LETTER DOTLESS I"),
        ("perturbed\u200b_mean", "ZERO WIDTH SPACE"),
        ("\u202eegdir", "RIGHT-TO-LEFT OVERRIDE"),
        ("ridge\u2060", "WORD JOINER"),
        ("perturbed一mean", "CJK UNIFIED IDEOGRAPH-4E00"),
        ("perturbed‐mean", "HYPHEN"),
        ("ridge\x07", "U\\+0007"),
    ],
)
def test_signs_that_deceive_are_refused_by_name(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        clean_name(name)


@pytest.mark.parametrize("name", ["", "   ", "___", "a" * 81, "\u0301"])
def test_a_name_has_a_letter_and_is_not_too_long(name: str) -> None:
    with pytest.raises(ConfigError, match="a name of 1 to 80 characters"):
        clean_name(name)


@pytest.mark.parametrize(
    "name", ["my_ridge", "ridge2", "Müller et al.", "模型 2", "GEARS (ours)", "v2"]
)
def test_other_names_are_left_as_they_are(name: str) -> None:
    assert clean_name(name) == name
    check_not_taken(name, BUILT_IN)


def test_blanks_and_compatible_signs_are_made_plain() -> None:
    assert clean_name("  my\u00a0 ｍodel ") == "my model"
    assert skeleton("My-Model") == skeleton("my model") == "mymodel"


def test_another_file_under_a_taken_name_is_a_new_version() -> None:
    first = versioned("mine", ("a",), ())
    assert (first.shown, first.version) == ("mine", 1)
    second = versioned("Mine", ("b",), [first])
    assert (second.shown, second.base, second.version) == ("mine v2", "mine", 2)
    third = versioned("mine v2", ("c",), [first, second])
    assert (third.shown, third.version) == ("mine v3", 3)
    assert versioned("mine", ("b",), [first, second, third]) == second
    assert versioned("mine", ("a",), [first, second, third]) == first


def test_a_version_steps_over_a_name_that_is_there() -> None:
    taken = [TakenName("mine", "mine", ("a",)), TakenName("mine v2", "mine v2", ("b",))]
    assert versioned("mine", ("c",), taken).shown == "mine v3"
