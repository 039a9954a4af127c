"""Pages in headless Chromium; accessibility where ``DYGENEPT_AXE`` names axe-core's axe.min.js."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dygenept.leaderboard.boards import leaderboard_of
from dygenept.machine.plain_text import brief
from dygenept.reports.page import html_page, page_board
from dygenept.reports.site import SiteFrame, build_site, site_boards
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
playwright = pytest.importorskip("playwright.sync_api")
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one Chromium for all tests."""
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, board_records: list[RunRecord], tmp_path: Path) -> Iterator[Open]:
    """Open a page; at the end no console message, error or request may have occurred."""
    more = [
        of.model_copy(
            update={
                "metrics": (
                    *of.metrics,
                    of.metrics[0].model_copy(update={"name": "mse", "higher_is_better": False}),
                )
            }
        )
        for of in board_records
    ]
    page_file = tmp_path / "board.html"
    page_file.write_text(html_page([page_board(leaderboard_of(more), more)]))
    said: list[str] = []
    contexts = []

    def open_it(width: int = 1280, *, path: Path = page_file, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith("file:") else said.append(request.url),
        )
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []


def models(page: Page) -> list[str]:
    return page.locator("tbody.competitors tr:visible").evaluate_all(
        "rows => rows.map((row) => row.dataset.model)"
    )


def follow(page: Page, anchor: str) -> None:
    if anchor:
        page.evaluate(f"location.hash = {json.dumps(anchor)}")
        page.get_by_role("dialog").wait_for()


def test_scripts_write_numbers_as_the_rest_of_the_page(open_page: Open) -> None:
    values = [0.0, -0.0, 1.0, -0.5, 0.05, -0.00076, 4.2e-7, -1e-12, 123456.789, 0.0999, 0.001]
    shown = open_page().evaluate("(values) => values.map((value) => show(value))", values)
    assert shown == [brief(value) for value in values]


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_round(open_page: Open) -> None:
    page = open_page()
    assert models(page) == ["ridge", "mine", "linear", "perturbed_mean"]
    button = page.locator("thead button", has_text="pearson")
    button.click()
    assert models(page) == ["perturbed_mean", "linear", "mine", "ridge"]
    assert page.locator('th[aria-sort="ascending"]').count() == 1
    # An error's first click puts the smallest first, and ranks are those of the sorted metric.
    page.locator("thead button", has_text="mse").click()
    assert models(page)[0] == "perturbed_mean"
    assert page.locator("tbody.competitors .rank").first.inner_text() == "1"
    page.locator("thead button", has_text="model").click()
    assert models(page) == ["linear", "mine", "perturbed_mean", "ridge"]


def test_filter_metrics_and_gap_change_the_table(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Filter").fill("submitted")
    assert models(page) == ["mine"]
    page.get_by_label("Filter").fill("")
    page.locator(".chooser summary").click()
    page.get_by_label("mse", exact=True).uncheck()
    assert page.locator(".board > .scroll thead th:visible").count() == 3
    page.locator(".chooser .all").click()
    # The model, two metrics and the folds.
    assert page.locator(".board > .scroll thead th:visible").count() == 4
    page.keyboard.press("Escape")
    assert not page.locator(".chooser[open]").count()
    page.locator(".mode").select_option("g")
    assert page.locator("tr[data-model=ridge] .g").first.is_visible()
    assert not page.locator("tr[data-model=ridge] .v").first.is_visible()


def test_a_model_opens_by_keyboard_and_closes_again(open_page: Open) -> None:
    page = open_page()
    page.locator("tr[data-model=mine] .link").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="mine (submitted)")
    dialog.wait_for()
    text = dialog.inner_text()
    for part in (
        "Record",
        "Configuration",
        "By subgroup",
        "unseen_single",
        "Perturbations",
        "sha256 ab",
    ):
        assert part in text or part in dialog.text_content()
    assert "Not shown: no results folder was at hand" in text
    assert dialog.locator("svg").count() == 2
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    # A dialog is hidden before it tells the page that it was closed.
    page.wait_for_function("location.hash === ''")


def test_a_perturbation_shows_all_models(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Find a perturbation").fill("g2")
    page.locator(".explore .link", has_text="g2+ctrl").click()
    dialog = page.get_by_role("dialog", name="g2+ctrl")
    rows = dialog.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.innerText)")
    assert rows[0].startswith("technical_duplicate")
    assert [row.split()[0] for row in rows[1:]] == ["ridge", "mine", "linear", "perturbed_mean"]
    assert "0.520" in rows[1]
    dialog.locator(".link", has_text="ridge").click()
    page.get_by_role("dialog", name="ridge").wait_for()


def test_dark_mode_follows_the_system_and_the_button(open_page: Open) -> None:
    def background(page: Page) -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page = open_page(dark=True)
    assert background(page) == "rgb(20, 23, 27)"
    page.get_by_role("button", name="Light mode").click()
    assert background(page) == "rgb(255, 255, 255)"
    assert background(open_page()) == "rgb(255, 255, 255)"


@pytest.mark.parametrize("anchor", ["", "#board-1/model/ridge", "#board-1/unit/2"])
def test_a_phone_never_scrolls_the_page_sideways(open_page: Open, anchor: str) -> None:
    page = open_page(390)
    follow(page, anchor)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if anchor:
        detail = page.locator("#detail")
        assert detail.evaluate("(node) => node.scrollWidth <= node.clientWidth")


@pytest.mark.skipif("DYGENEPT_AXE" not in os.environ, reason="DYGENEPT_AXE names no axe.min.js")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("anchor", ["", "#board-1/model/ridge", "#board-1/unit/2"])
def test_axe_finds_nothing_to_mend(open_page: Open, anchor: str, dark: bool) -> None:
    page = open_page(dark=dark)
    follow(page, anchor)
    assert axe(page) == []


@pytest.mark.skipif("DYGENEPT_AXE" not in os.environ, reason="DYGENEPT_AXE names no axe.min.js")
def test_axe_finds_nothing_to_mend_on_a_site(
    open_page: Open, board_records: list[RunRecord], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    boards = site_boards([(leaderboard_of(board_records), board_records)])
    build_site(boards, site, results=ResultsStore(tmp_path), frame=SiteFrame())
    for name in ("index.html", "models/*.html", "datasets/*.html"):
        page = open_page(390, path=next(site.glob(name)), dark=name == "index.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert axe(page) == []


def axe(page: Page) -> list[str]:
    page.evaluate(Path(os.environ["DYGENEPT_AXE"]).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    return [
        f"{item['id']}: {node['html'][:160]}"
        for item in found["violations"]
        for node in item["nodes"][:3]
    ]
