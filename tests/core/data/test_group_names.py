from __future__ import annotations

import numpy as np

from dygenept.data.reading.h5ad import Column
from dygenept.data.reading.labels import clean_groups


def read(*values: str) -> tuple[list[str | None], list[str]]:
    names = tuple(dict.fromkeys(values))
    codes = np.array([names.index(value) for value in values], dtype=np.int32)
    notes: list[str] = []
    column = clean_groups(Column((*names, "unused"), codes), "cell_type", notes)
    return [column.categories[code] if code >= 0 else None for code in column.codes], notes


def test_clean_names_stay_and_say_nothing() -> None:
    assert read("K562", "RPE1", "K562") == (["K562", "RPE1", "K562"], [])


def test_blanks_and_case_split_no_group_and_are_named() -> None:
    values, notes = read("k562", "K562", " K562", "T  cell")
    assert values == ["K562", "K562", "K562", "T cell"]
    assert notes == [
        "Blanks around names in obs['cell_type'] were left out: ' K562', 'T  cell'.",
        "Names in obs['cell_type'] that differ only in case were read as one, the first: "
        "'K562 = k562'; rename them if they are not the same.",
    ]


def test_missing_values_written_as_text_are_missing() -> None:
    values, notes = read("K562", "nan", "", "<NA>")
    assert values == ["K562", None, None, None]
    assert notes == ["Missing values written as text in obs['cell_type']: '', '<NA>', 'nan'."]
