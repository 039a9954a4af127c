"""Names of cell types and batches, cleaned as labels are: spelling splits no group."""

from __future__ import annotations

import numpy as np

from dygenept.data.reading.encodings import Column
from dygenept.data.reading.label_kinds import is_missing
from dygenept.data.reading.unknown_targets import listed


def clean_groups(column: Column, name: str, notes: list[str]) -> Column:
    """Give spellings of one group one name.

    Blanks around a name go, missing values written as text are missing, and names that differ only
    in upper and lower case are the one that most cells have.

    Args:
        column: A column of ``obs``.
        name: Its name, for notes.
        notes: Takes what was mended, one sentence each.

    Returns:
        The column, -1 where there is no value.
    """
    n_cells = np.bincount(column.codes[column.codes >= 0], minlength=len(column.categories))
    used = [text for text, n in zip(column.categories, n_cells.tolist(), strict=True) if n]
    if missing := sorted(text for text in used if is_missing(text)):
        notes.append(f"Missing values written as text in obs[{name!r}]: {listed(missing)}.")
    blanks = {text: " ".join(text.split()) for text in used if not is_missing(text)}
    if padded := sorted(text for text, plain in blanks.items() if plain != text):
        notes.append(f"Blanks around names in obs[{name!r}] were left out: {listed(padded)}.")
    size: dict[str, int] = {}
    for text, n in zip(column.categories, n_cells.tolist(), strict=True):
        if text in blanks:
            size[blanks[text]] = size.get(blanks[text], 0) + n
    groups: dict[str, list[str]] = {}
    for plain in sorted(size, key=lambda plain: (-size[plain], plain)):
        groups.setdefault(plain.lower(), []).append(plain)
    if several := [" = ".join(of) for of in groups.values() if len(of) > 1]:
        notes.append(
            f"Names in obs[{name!r}] that differ only in case were read as one, the first: "
            f"{listed(several)}; rename them if they are not the same."
        )
    chosen = {text: groups[plain.lower()][0] for text, plain in blanks.items()}
    names = tuple(dict.fromkeys(chosen.values()))
    place = {of: code for code, of in enumerate(names)}
    codes = [place[chosen[text]] if text in chosen else -1 for text in column.categories]
    return Column(names, np.asarray([*codes, -1], dtype=np.int32)[column.codes])
