"""Every command and code block of the documentation runs, every link leads somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import documented
import pytest

ROOT = Path(__file__).parents[2]
PAGES = documented.pages(ROOT)
WITH_CODE = [
    page
    for page in PAGES
    if any(block.is_run for block in documented.blocks_of(page.read_text("utf-8")))
]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_every_block_of_a_page_runs(
    page: Path, workplace: Path, shell: Callable[[Sequence[str]], int], in_another_layout: object
) -> None:
    names: dict[str, object] = {"adata": in_another_layout}
    for block in documented.blocks_of(page.read_text("utf-8")):
        where = f"{name_of(page)}:{block.line}"
        if block.what == "file":
            (workplace / block.argument).write_text(block.code)
        elif block.what == "edit":
            path = workplace / block.argument
            path.write_text(documented.edited(path.read_text(), block.code))
        elif block.is_run and block.language == "python":
            exec(compile(block.code, where, "exec"), names)
        elif block.is_run:
            for command in documented.commands_of(block.code):
                assert command[0] == "dygenept", f"{where}: {command[0]} needs a reason not to run"
                assert shell(command) == 0, f"{where}: {' '.join(command)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in documented.links_of(text):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{name_of(page)}: {link}"
        if parts.fragment:
            anchors = documented.anchors_of(target.read_text("utf-8"))
            assert parts.fragment in anchors, f"{name_of(page)}: {link}"


def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_docs", ROOT / "scripts" / "write_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["write_docs"] = module
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_what_the_code_says() -> None:
    stale = [
        name_of(path) for path, text in writer().pages().items() if path.read_text("utf-8") != text
    ]
    assert stale == [], "run python scripts/write_docs.py"


def test_every_metric_and_every_command_has_a_place_on_its_page() -> None:
    from dygenept.plugin.specs import KINDS

    metrics = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert {"### `mse`", "### `auroc_gene_n5`", "### `des_cells`"} <= set(metrics.splitlines())
    commands = (ROOT / "docs" / "cli_reference.md").read_text("utf-8")
    assert {"## dygenept bench", "## dygenept export cell-eval"} <= set(commands.splitlines())
    tutorials = {path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md")}
    assert tutorials == {"index", *KINDS}


def test_every_page_is_in_the_contents_of_the_site() -> None:
    contents = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r"- ([\w/]+\.md)", contents))
    docs = ROOT / "docs"
    assert listed == {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}


def test_a_block_that_is_not_run_says_why() -> None:
    reasons = [
        (name_of(page), block.argument)
        for page in PAGES
        for block in documented.blocks_of(page.read_text("utf-8"))
        if block.what == "not run"
    ]
    assert reasons
    assert [place for place in reasons if len(place[1].split()) < 3] == []


def test_the_reader_of_blocks_sees_comments_and_continued_lines() -> None:
    page = (
        "<!-- not run: it takes hours -->\n```console\ndygenept bench\n```\n\n"
        "```console\ndygenept bench --set a=1 \\\n    --model 'b c'   # why\n# nothing\n```\n"
    )
    first, second = documented.blocks_of(page)
    assert (first.what, first.is_run, second.is_run, second.line) == ("not run", False, True, 6)
    expected = ["dygenept", "bench", "--set", "a=1", "--model", "b c"]
    assert documented.commands_of(second.code) == [expected]
    assert documented.edited("a\nb\nc\n", "-b\n+d\n+e\n") == "a\nd\ne\nc\n"
    with pytest.raises(AssertionError, match="not exactly once"):
        documented.edited("a\n", "-b\n+c\n")
    assert documented.links_of("[a](b.md#c) `[d](e)`") == ["b.md#c"]
    assert documented.anchors_of("## I want to change …\n") == {"i-want-to-change-"}
