from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dygenept.data.effects.frames import is_table
from dygenept.data.effects.reading import read_effects
from dygenept.errors import DataError
from dygenept.types import DataMapping, PerturbationData

LONG = """pert,gene,label,split
KLF1,GATA1,1,train
KLF1,MYC,0,train
MYC,GATA1,0,train
BRCA1,GATA1,1,test
"""


def read(tmp_path: Path, text: str, name: str = "t.csv", **mapping: str) -> PerturbationData:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_effects(path, mapping=DataMapping(**mapping))  # type: ignore[arg-type]


def refusal(tmp_path: Path, text: str, **mapping: str) -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, **mapping)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_long_table_becomes_conditions_by_genes(tmp_path: Path) -> None:
    data = read(tmp_path, LONG)
    assert data.effects is not None
    assert [condition.label for condition in data.conditions] == ["BRCA1", "KLF1", "MYC"]
    assert data.gene_ids == ("GATA1", "MYC")
    expected = [[1.0, np.nan], [1.0, 0.0], [0.0, np.nan]]
    np.testing.assert_array_equal(data.effects.values, expected)
    assert (data.effects.kind, data.effects.n_pairs, data.n_cells) == ("labels", 4, 0)
    assert [data.effects.parts[item] for item in data.conditions] == ["test", "train", "train"]


def test_format_and_order_of_rows_play_no_part(tmp_path: Path) -> None:
    first = read(tmp_path, LONG)
    head, *rows = LONG.splitlines()
    packed = tmp_path / "t.tsv.gz"
    text = "\n".join([head, *reversed(rows)]).replace(",", "\t") + "\n"
    packed.write_bytes(gzip.compress(text.encode()))
    table = tmp_path / "t.parquet"
    pl.read_csv(tmp_path / "t.csv").write_parquet(table)
    assert {first.sha256} == {read_effects(packed).sha256, read_effects(table).sha256}
    assert is_table(packed)
    assert is_table(table)
    assert not is_table(tmp_path / "absent.csv")


def test_a_wide_table_is_read_with_its_gaps(tmp_path: Path) -> None:
    data = read(tmp_path, "perturbation,GATA1,MYC\nKLF1,0.5,-1\nBRCA1,,2\n")
    assert data.effects is not None
    assert data.effects.kind == "values"
    np.testing.assert_array_equal(data.effects.values, [[np.nan, 2.0], [0.5, -1.0]])
    assert any("wide table" in note for note in data.notes)


def test_cell_types_weights_and_words_are_understood(tmp_path: Path) -> None:
    text = "target\tsymbol\tdirection\tweight\tcell_line\n" + "".join(
        f"{row}\n"
        for row in (
            "KLF1\tGATA1\tup\t1\tK562",
            "KLF1\tGATA1\tdown\t2\tRPE1",
            "MYC\tKLF1\tNA\t1\tK562",
        )
    )
    data = read(tmp_path, text, name="t.tsv")
    assert data.effects is not None
    assert data.effects.weights is not None
    assert data.cell_types == ("K562", "RPE1")
    # Down and up alone are labels; the pair without one is left out, and so is its perturbation.
    np.testing.assert_array_equal(data.effects.values, [[1.0], [0.0]])
    np.testing.assert_array_equal(data.effects.weights, [[0.5], [1.0]])


def test_none_beside_directions_is_refused_and_elsewhere_missing(tmp_path: Path) -> None:
    rows = "pert,gene,label\nMYC,GATA1,up\nMYC,KLF1,None\nTP53,GATA1,down\nTP53,KLF1,up\n"
    said = refusal(tmp_path, rows)
    assert "row 2 below the header" in said
    assert "'None' (1 such row(s))" in said
    assert "write 0 for no change" in said
    assert "'null' (1 such row(s))" in refusal(tmp_path, rows.replace("None", "null"))
    data = read(tmp_path, rows.replace("up", "1").replace("down", "0"))
    assert data.effects is not None
    assert np.isnan(data.effects.values).sum() == 1
    # Without a word for no change in doubt, directions are what they were.
    assert read(tmp_path, rows.replace("None", "unchanged")).effects.kind == "signs"
    assert read(tmp_path, rows.replace("None", "")).effects.kind == "labels"


def test_three_signs_are_signs(tmp_path: Path) -> None:
    data = read(tmp_path, LONG.replace("MYC,GATA1,0", "MYC,GATA1,-1"))
    assert data.effects is not None
    assert data.effects.kind == "signs"


def test_a_repeated_pair_counts_once_and_controls_not_at_all(tmp_path: Path) -> None:
    data = read(tmp_path, LONG + "KLF1,MYC,0,train\nnon-targeting,MYC,1,train\n")
    assert data.effects is not None
    assert data.effects.n_pairs == 4
    assert any("repeat" in note for note in data.notes)
    assert any("controls" in note for note in data.notes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LONG + "KLF1,MYC,1,train\n", "KLF1 and MYC more than once"),
        (LONG + "KLF1,TP53,high,train\n", "row 5 below the header"),
        (LONG + "KLF1,TP53,inf,train\n", "not a finite number"),
        (LONG + 'KLF1,TP53,"0,5",train\n', "write numbers with a point"),
        (LONG + "KLF1,TP53,1e200,train\n", "between 1e-15 and 1e+15"),
        ("pert,gene,z\nKLF1,MYC,1e-200\nMYC,MYC,-2e-200\n", "between 1e-15 and 1e+15"),
        ("pert,gene,z,weight\nKLF1,MYC,1,1\nKLF1,MYC,1,0.5\nMYC,MYC,2,1\n", "weights 1 and 0.5"),
        ("pert,gene,z\rKLF1,MYC,1\r", "carriage returns alone"),
        (LONG + "KLF1,,1,train\n", "names no gene"),
        (LONG + ",TP53,1,train\n", "names no perturbation"),
        (LONG + "KLF1,TP53,1,test\n", "two parts of the split"),
        (LONG + "TP53,MYC,1,holdout\n", "'holdout'"),
        (LONG.replace(",label", ",outcome"), "--value-column"),
        ("pert,gene,label\nKLF1,MYC,1\nMYC,MYC,1\n", "nothing to predict"),
        ("pert,gene,label,value\nKLF1,MYC,1,0.5\n", "--value-column label"),
        ("pert,gene,label\n", "no row"),
        ("just one line\n", "names one column"),
        ("pert,MYC,kind\nKLF1,1,x\n", "contains words"),
        (LONG + "KLF1,cell_type,1,train\n", "a gene is called 'cell_type'"),
    ],
)
def test_a_faulty_table_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    assert says in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LONG.replace("KLF1", "KLFé").encode("latin-1"), "line 2 on; save it in UTF-8: iconv"),
        (LONG.encode("utf-16"), "iconv -f utf-16"),
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(60), "is a zip archive"),
    ],
)
def test_a_file_that_is_only_called_a_table_is_refused_as_one(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert is_table(path)
    with pytest.raises(DataError, match=says):
        read_effects(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + content)
    assert not is_table(path)  # The reader of cells opens it, whatever its name.


def test_names_in_an_index_that_pandas_wrote_are_the_perturbations(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    wide = {"GATA1": [0.5, -1.0], "MYC": [2.0, None], "__index_level_0__": ["KLF1", "TP53"]}
    pl.DataFrame(wide).write_parquet(path)
    data = read_effects(path)
    assert [of.label for of in data.conditions] == ["KLF1", "TP53"]
    assert data.gene_ids == ("GATA1", "MYC")


def test_two_columns_whose_names_differ_by_blanks_are_refused(tmp_path: Path) -> None:
    text = "pert,gene,label,label \nKLF1,TP53,1,0\nGATA1,TP53,0,1\n"
    assert "two columns called 'label'" in refusal(tmp_path, text)


def test_a_name_of_any_length_takes_no_more_memory_than_its_own(tmp_path: Path) -> None:
    rows = "".join(f"KLF1,G{number},1\n" for number in range(20_000))
    tracemalloc.start()
    data = read(tmp_path, f"pert,gene,label\nGATA1,{'A' * 5_000},0\n{rows}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert data.n_genes == 20_001
    # As an array of the longest name's width it would be 400 MB.
    assert peak < 100e6


def test_columns_of_other_names_are_named_by_flags(tmp_path: Path) -> None:
    text = LONG.replace("pert,gene,label", "who,what,outcome")
    data = read(
        tmp_path, text, condition_column="who", symbol_column="what", value_column="outcome"
    )
    assert data.effects is not None
    assert data.effects.n_pairs == 4
    assert "did you mean 'what'" in refusal(tmp_path, text, symbol_column="whta")


def notes_of(tmp_path: Path, *cells: str, column: str = "label") -> tuple[str, tuple[str, ...]]:
    """Read a table of 24 pairs whose cells come round in turn: its kind and its notes."""
    names = ("KLF1", "GATA1", "MYC", "TP53")
    pairs = [(target, gene) for target in names for gene in (*names, "JUN", "FOS")]
    rows = (f"{target},{gene},{cells[at % len(cells)]}" for at, (target, gene) in enumerate(pairs))
    data = read(tmp_path, f"pert,gene,{column}\n" + "\n".join(rows) + "\n")
    assert data.effects is not None
    return data.effects.kind, data.notes


@pytest.mark.parametrize(
    ("cells", "column", "kind", "says"),
    [
        (("1", "2"), "label", "values", "has 1 and 2 and is read as numbers, not as labels"),
        (("0", "2"), "label", "values", "has 0 and 2 and is read as numbers"),
        (("0", "1", "2"), "z", "values", "Column 'z' has 0, 1 and 2 and is read as numbers"),
        (("0", "0.5", "1"), "z", "values", "has 0, 0.5 and 1 and is read as numbers"),
        (tuple("0123456789"), "label", "values", "has 10 numbers and is read as numbers"),
        (("-1", "1"), "label", "labels", "is read as labels: down as 0, up as 1"),
        (("-1", "0"), "label", "signs", "is read as signs: -1 as down, 0 as unchanged"),
        (("-1", "0", "1"), "log2fc", "signs", "-1 as down, 0 as unchanged, 1 as up"),
        (("0", "1"), "log2fc", "labels", "'log2fc' has only 0 and 1 and is read as labels"),
        (("True", "FALSE"), "label", "labels", "labels: 'false' as 0, 'true' as 1"),
        (("yes", "no", "NA"), "label", "labels", "labels: 'no' as 0, 'yes' as 1"),
        (("T", "F"), "label", "labels", "labels: 'f' as 0, 't' as 1"),
        (("up", "down"), "label", "labels", "labels: 'down' as 0, 'up' as 1"),
        (("up", "down", "ns"), "label", "signs", "signs: 'down' as -1, 'ns' as 0, 'up' as 1"),
        (("significant", "ns"), "label", "labels", "labels: 'ns' as 0, 'significant' as 1"),
    ],
)
def test_a_column_that_may_be_meant_otherwise_says_how_it_is_read(
    tmp_path: Path, cells: tuple[str, ...], column: str, kind: str, says: str
) -> None:
    found, notes = notes_of(tmp_path, *cells, column=column)
    assert found == kind
    assert sum("is read as" in note for note in notes) == 1
    assert any(says in note for note in notes)


def test_a_column_that_can_hardly_be_meant_otherwise_says_nothing(tmp_path: Path) -> None:
    numbers = tuple(f"{0.1 * at - 0.73:.2f}" for at in range(17))
    for cells, column in (
        (("0", "1"), "label"),
        (("1", "0", "-1"), "direction"),
        (("1", "0", ""), "is_de"),
        (numbers, "log2fc"),
    ):
        assert not any(
            "is read as" in note for note in notes_of(tmp_path, *cells, column=column)[1]
        )


def test_what_says_that_nothing_was_measured_is_quoted(tmp_path: Path) -> None:
    _, notes = notes_of(tmp_path, "yes", "no", "NA")
    assert "8 pairs have no label or value ('na') and are left out." in notes
    rows = "pert,gene,label\nMYC,GATA1,yes\nMYC,KLF1,None\nTP53,GATA1,yes\n"
    assert "'none' being read as not measured" in refusal(tmp_path, rows)


def test_words_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    rows = "pert,gene,label\nMYC,GATA1,yes\nMYC,KLF1,no\nTP53,GATA1,{}\n"
    assert "'no' and 'up' in one column" in refusal(tmp_path, rows.format("up"))
    assert "'no' and the number 2.5" in refusal(tmp_path, rows.format("2.5"))
    assert "'no' and the number -1" in refusal(tmp_path, rows.format("-1"))
    assert "labels may be the words true" in refusal(tmp_path, rows.format("maybe"))


def test_a_wide_table_may_consist_of_words(tmp_path: Path) -> None:
    data = read(tmp_path, "pert,KLF1,MYC\nGATA1,true,false\nTP53,false,\nSPI1,true,true\n")
    assert data.effects is not None
    assert data.effects.kind == "labels"
    assert "The table is read as labels: 'false' as 0, 'true' as 1." in data.notes
