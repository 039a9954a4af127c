"""What a submission is called: a name that nobody takes for another's, and its version.

Two names are alike if a reader could confuse them: blanks, case, punctuation, accents and signs
that look alike (``l`` and ``1``, ``O`` and ``0``) do not tell names apart. Letters of alphabets
that have look-alikes of Latin ones are refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dygenept.errors import ConfigError

MAX_LENGTH = 80
# Scripts of which hardly a character looks like a Latin letter; those that do are left out below.
_SCRIPTS = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL")
_STROKES = frozenset("一丨丿〇ニロㅣㅡー工口")
# A version, or what boards say beside a name, makes no other name.
_SUFFIX = re.compile(r"(v\d+|celllng|floor|submltted|basellne)+$")
_ALIKE = str.maketrans({"1": "l", "i": "l", "0": "o", "5": "s"})


@dataclass(frozen=True, slots=True)
class TakenName:
    """A submission that is there already.

    Attributes:
        shown: How leaderboards call it.
        base: The same without its version.
        identity: What was submitted: the hash of the file, and how it was read.
        version: Its version.
    """

    shown: str
    base: str
    identity: tuple[object, ...]
    version: int = 1


def clean_name(name: str) -> str:
    """Return a name in its plain spelling: compatible characters made one, blanks made single.

    Raises:
        ConfigError: If it is empty or too long, or has a character that a reader cannot see or
            can take for another.
    """
    plain = " ".join(unicodedata.normalize("NFKC", name).split())
    for sign in plain:
        if sign != " " and not sign.isprintable():
            raise ConfigError(
                f"--name {name!r} has a character that nobody sees ({_called(sign)}); leave it out"
            )
    for sign in unicodedata.normalize("NFKD", plain):
        is_plain = sign.isascii() or unicodedata.combining(sign) > 0
        is_other = sign not in _STROKES and unicodedata.name(sign, "").startswith(_SCRIPTS)
        if not (is_plain or is_other):
            raise ConfigError(
                f"--name {name!r} has a character that can be taken for another "
                f"({_called(sign)}); write the name in Latin letters, digits and ASCII characters"
            )
    if not skeleton(plain) or len(plain) > MAX_LENGTH:
        raise ConfigError(
            f"--name {name[:MAX_LENGTH]!r}: give a name of 1 to {MAX_LENGTH} characters with a "
            "letter or a digit in it"
        )
    return plain


def skeleton(name: str) -> str:
    """Return what a reader remembers of a name: names with the same one are alike."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_ALIKE)
    kept = "".join(sign for sign in plain if sign.isalnum())
    return kept.replace("rn", "m").replace("vv", "w")


def check_not_taken(name: str, models: Iterable[str]) -> None:
    """Refuse a name that is, or looks like, that of a model which was not submitted.

    Raises:
        ConfigError: As said.
    """
    alike = {skeleton(name), _SUFFIX.sub("", skeleton(name))}
    for model in models:
        if skeleton(model) in alike:
            how = "is called so" if model == name else f"is called {model!r}, which looks alike"
            raise ConfigError(
                f"the submission would be called {name!r}, and a model of the harness {how}; pass "
                "another name with --name"
            )


def versioned(name: str, identity: tuple[object, ...], taken: Sequence[TakenName]) -> TakenName:
    """Return how a submission is called beside those that are there.

    The same file under the same name is the same submission; another file is the next version.

    Args:
        name: The plain spelling of its name.
        identity: What is submitted.
        taken: The submissions that are there.
    """
    alike = skeleton(name)
    own = [of for of in taken if alike in (skeleton(of.base), skeleton(of.shown))]
    base = own[0].base if own else name
    own = [of for of in taken if skeleton(of.base) == skeleton(base)]
    for of in own:
        if of.identity == identity:
            return of
    known = {skeleton(of.shown) for of in taken}
    number, shown = 1, base
    while skeleton(shown) in known:
        number += 1
        shown = f"{base} v{number}"
    return TakenName(shown, base, identity, number)


def _called(sign: str) -> str:
    return unicodedata.name(sign, f"U+{ord(sign):04X}")
