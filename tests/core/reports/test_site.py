from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dygenept.leaderboard.boards import leaderboard_of
from dygenept.reports.site import SiteFrame, build_site, model_file, site_boards
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def site(board_records: list[RunRecord], record: MakeRecord, tmp_path: Path) -> Path:
    """Build a site of one board of measured cells and one of simulated ones."""
    simulated = [record(model="<b>x", dataset="sim:toy", simulated=True, values=(0.1, 0.2, 0.3))]
    pairs = [(leaderboard_of(of), of) for of in (simulated, board_records)]
    frame = SiteFrame(title="Lab & co", address="https://lab.example/boards", date="2026-11-29")
    build_site(site_boards(pairs), tmp_path, results=ResultsStore(tmp_path), frame=frame)
    return tmp_path


def test_every_link_leads_to_a_file_of_the_site(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) == 1 + 2 + 6 + 2
    for page in pages:
        for href in re.findall(r'href="([^"#]*)', page.read_text()):
            assert (page.parent / href).resolve().is_file(), (page, href)


def test_no_page_asks_the_network_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "default-src 'none'" in text
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_simulated_boards_stand_apart_and_names_are_text(site: Path) -> None:
    index = (site / "index.html").read_text()
    measured, simulated = index.split("Boards of simulated data")
    assert "sim:toy" not in measured
    assert "SIMULATED DATA" in simulated
    page = (site / "models" / model_file("<b>x")).read_text()
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in index + page
    assert "Lab &amp; co" in index


def test_only_a_model_shown_to_beat_trivial_predictions_is_named_as_the_best(site: Path) -> None:
    measured, simulated = (site / "index.html").read_text().split("Boards of simulated data")
    assert re.search(r'<td class="text"><a href="models/[^"]*">ridge</a></td>', measured)
    # One model alone is the best of nothing.
    assert '<td class="text">none shown</td>' in simulated


def test_a_model_has_a_page_with_its_boards(site: Path) -> None:
    text = (site / "models" / model_file("ridge")).read_text()
    assert "0.459 *" in text
    assert "1 of 4" in text
    assert "#board-1/model/ridge" in text


def test_a_data_set_has_a_page_with_its_statistics(site: Path) -> None:
    (page,) = (site / "datasets").glob("toy-*.html")
    text = page.read_text()
    assert "<dt>held out on these boards</dt><dd>10</dd>" in text
    assert "0.100 to 1.000, median 0.600" in text


def test_downloads_are_the_boards(site: Path) -> None:
    listed = json.loads((site / "boards.json").read_text())
    (board,) = [of for of in listed["boards"] if not of["simulated"]]
    (document,) = json.loads((site / board["json"]).read_text())
    assert {row["model"] for row in document["leaderboard"]} >= {"ridge", "mine"}
    assert (site / board["csv"]).read_text().startswith("dataset,")
    assert len((site / board["scores"]).read_text().splitlines()) == 1 + 50


def test_the_feed_names_every_model_of_every_board(site: Path) -> None:
    items = ET.parse(site / "feed.xml").getroot().findall("./channel/item")
    titles = [item.findtext("title") or "" for item in items]
    assert len(titles) == 6
    assert any(title.startswith("<b>x on SIMULATED DATA") for title in titles)
    assert (items[0].findtext("link") or "").startswith("https://lab.example/boards/boards/")
    assert items[0].findtext("pubDate") == "Thu, 01 Jan 2026 00:00:00 +0000"


def test_names_that_look_alike_have_pages_of_their_own() -> None:
    assert model_file("a b") != model_file("a_b")
    assert re.fullmatch(r"[a-z0-9-]+\.html", model_file("../../etc/passwd"))
