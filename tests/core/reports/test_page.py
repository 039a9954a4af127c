from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from dygenept.leaderboard.boards import leaderboard_of, seed_boards
from dygenept.reports.finding import finding
from dygenept.reports.page import PageFrame, html_page, page_board
from dygenept.reports.page_table import page_table
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
HOSTILE = "=a|b`c\\d</script><img src=x onerror=1>&\x1b[2J](x%#$_{}~^\"'{{ 7*7 }}"
SHOWN = (
    "=a|b`c\\d&lt;/script&gt;&lt;img src=x onerror=1&gt;&amp;\\x1b[2J](x%#$_{}~^&#34;&#39;{{ 7*7 }}"
)


def whole_page(records: list[RunRecord], **frame: str) -> str:
    return html_page([page_board(leaderboard_of(records), records)], PageFrame(**frame))  # type: ignore[arg-type]


def data_of(page: str) -> dict[str, object]:
    (text,) = re.findall(r'<script type="application/json" class="data">(.*?)</script>', page, re.S)
    return json.loads(text)


def lines_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'<tr class="[^"]*" data-model="([^"]*)">(.*?)</tr>', page, re.S))


def test_a_page_begins_with_what_the_board_found(
    board_records: list[RunRecord], record: MakeRecord
) -> None:
    page = whole_page(board_records)
    (said,) = re.findall(r'<p class="finding">(.*?)</p>', page)
    assert said == finding(leaderboard_of(board_records))
    assert said.startswith("Best by pearson_delta: ridge, 0.459 [")
    assert "Trivial reference perturbed_mean 0.0990, ceiling technical_duplicate 0.819." in said
    assert page.index(said) < page.index("<table")
    assert "calibrated" not in said
    # The ceiling is no better than the reference: nothing that the metric says counts.
    level = [of for of in board_records if of.model != "technical_duplicate"]
    noise = record(
        key="d" * 32, model="technical_duplicate", role="ceiling", values=(0.1, 0.0) * 4 + (0.1,)
    )
    noisy = finding(leaderboard_of([*level, noise]))
    assert "This metric is not calibrated on this data set." in noisy
    # Seven perturbations on which nothing tells a model from the reference.
    same = [record(key=name * 32, model=name, values=(0.1, 0.3) * 4) for name in ("a", "b")]
    trivial = record(key="c" * 32, model="perturbed_mean", values=(0.3, 0.1) * 4)
    none = finding(leaderboard_of([*same, trivial]))
    assert "no model is shown to be the best." in none
    assert "No model is shown to beat trivial predictions." in none
    assert finding(leaderboard_of([trivial])) == ""


def test_ranks_are_those_among_models_that_compete(board_records: list[RunRecord]) -> None:
    metric = data_of(whole_page(board_records))["metrics"][0]  # type: ignore[index]
    names = [of["name"] for of in data_of(whole_page(board_records))["models"]]  # type: ignore[index]
    ranks = dict(zip(names, metric["rank"], strict=True))
    assert ranks == {
        **{"technical_duplicate": None, "ridge": 1, "mine": 2, "linear": 3},
        "perturbed_mean": 4,
    }


def test_names_of_others_are_text_and_nothing_else(record: MakeRecord) -> None:
    records = [record(model=HOSTILE, dataset=HOSTILE, values=(0.5, 0.25, 0.1))]
    page = whole_page(records)
    assert page.count(SHOWN) >= 3
    assert "<img" not in page
    # One for the data and one for the page's own script: no name has opened or closed any.
    assert page.count("<script") == page.count("</script>") == 2
    assert page.replace("\n", "").isprintable()
    assert data_of(page)["models"][0]["name"] == HOSTILE.replace("\x1b", "\\x1b")  # type: ignore[index]


def test_a_page_asks_for_nothing(board_records: list[RunRecord]) -> None:
    page = whole_page(board_records)
    assert "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="[^"]*"', page) == []
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_competitors_come_first_and_ceilings_are_apart(board_records: list[RunRecord]) -> None:
    page = whole_page(board_records)
    lines = lines_of(page)
    assert list(lines) == ["ridge", "mine", "linear", "perturbed_mean", "technical_duplicate"]
    assert '<span class="rank">1</span>' in lines["ridge"]
    assert 'class="best"' in lines["ridge"]
    assert "0.459 *" in lines["ridge"]
    assert ">submitted<" in lines["mine"]
    assert ">reference<" in lines["perturbed_mean"]
    assert ">ceiling<" in lines["technical_duplicate"]
    assert page.index("compete with no one</th>") < page.index('data-model="technical_duplicate"')


def test_an_interval_is_drawn_within_its_cell_and_right_is_better(record: MakeRecord) -> None:
    for up in (True, False):
        records = [
            record(
                key=name,
                model=name,
                metric="score",
                higher_is_better=up,
                neutral=None,
                values=tuple(level + 0.01 * place for place in range(8)),
            )
            for name, level in {"perturbed_mean": 0.0, "a": 1.0, "b": 2.0}.items()
        ]
        lines = lines_of(whole_page(records))
        found = {name: re.search(r'<b style="left:([\d.]+)%', of) for name, of in lines.items()}
        places = {name: float(of[1]) for name, of in found.items() if of is not None}
        assert (places["a"] < places["b"]) == up
        for line in lines.values():
            ends = re.search(r"left:([\d.]+)%;width:([\d.]+)%", line)
            assert ends is not None
            left, width = map(float, ends.groups())
            assert 0 <= left <= left + width <= 100.1


def test_few_values_that_lie_close_do_not_cut_intervals_off(record: MakeRecord) -> None:
    spread = (0.0, 0.5, 1.0, 0.2, 0.8, 0.5)
    records = [
        record(key=name * 32, model=name, values=tuple(value + shift for value in spread))
        for name, shift in (("a", 0.0), ("b", 0.001), ("c", 0.002))
    ]
    board = leaderboard_of(records)
    for line in page_table(board, board.overall.rows).competitors:
        bar = line.cells[0].bar
        assert bar is not None
        assert bar.width > 90
        assert abs(bar.point - (bar.left + bar.width / 2)) < 2


def test_a_model_alone_is_not_the_best_of_anything(record: MakeRecord) -> None:
    alone = leaderboard_of([record(model="mine")])
    assert [row.marks for row in alone.overall.rows] == [""]
    assert alone.notes[0].startswith("one model alone")
    with_ceiling = leaderboard_of(
        [record(model="mine"), record(key="b" * 32, model="technical_duplicate", role="ceiling")]
    )
    assert not any(row.judgement.is_best for row in with_ceiling.overall.rows)
    two = leaderboard_of([record(model="mine"), record(key="b" * 32, model="other")])
    assert not any(note.startswith("one model alone") for note in two.notes)


def test_folds_show_only_where_some_are_missing(board_records: list[RunRecord]) -> None:
    assert "1/2" in whole_page(board_records)
    others = [of.model_copy(update={"fold": 1, "key": f"{of.key}1"}) for of in board_records]
    assert "2/2" not in whole_page([*board_records, *others])


def test_simulated_boards_are_labelled_in_the_page_itself(record: MakeRecord) -> None:
    page = whole_page([record(simulated=True, values=(0.1, 0.2, 0.3))])
    assert 'class="simulated">SIMULATED DATA' in page
    assert 'class="simulated">' not in whole_page([record(values=(0.1, 0.2, 0.3))])


def test_parts_of_a_board_are_tables_of_their_own(board_records: list[RunRecord]) -> None:
    page = html_page([leaderboard_of(board_records, by="subgroup")])
    assert "<h3>unseen_single: 4 perturbations</h3>" in page
    assert page.count("<table>") == 2


def test_a_board_over_seeds_is_laid_out_as_in_the_terminal(record: MakeRecord) -> None:
    boards = [[record(model="ridge", seed=seed, values=(0.1, 0.3))] for seed in (1, 2)]
    page = html_page(seed_boards(boards))
    assert "0.200 ± 0.000 (2)" in page
    assert "seeds 1, 2" in page


def test_no_board_is_a_page_that_says_so() -> None:
    page = html_page([])
    assert "There is no board to show." in page
    assert page.rstrip().endswith("</html>")


def test_the_footer_names_date_version_and_hashes(board_records: list[RunRecord]) -> None:
    page = whole_page(board_records, date="2026-11-29", citations="@article{a, title={<b>}}")
    footer = page[page.index("<footer>") :]
    assert "Made on 2026-11-29 with dygenept" in footer
    assert "records up to 2026-01-01" in footer
    assert "<code>ab</code>" in footer
    assert "<code>cd42</code>" in footer
    assert "title={&lt;b&gt;}" in footer


@pytest.mark.parametrize("name", ["page.css", "charts.js", "board.js", "detail.js"])
def test_style_and_scripts_are_in_the_page_as_written(
    board_records: list[RunRecord], name: str
) -> None:
    from importlib.resources import files

    text = (files("dygenept.reports") / "templates" / name).read_text("utf-8")
    assert text in whole_page(board_records)
    assert "</" not in text
