"""Hooks of mkdocs: what a checkout has beside ``docs``, and anchors as GitHub names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

# Studies whose charts pages show; no two charts have the same name.
STUDIES = (Path("benchmarks/inference"), Path("benchmarks/learning_curves"))


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the studies' charts below ``charts/``."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    for chart in sorted(chart for study in STUDIES for chart in (root / study).glob("*.svg")):
        files.append(File.generated(config, f"charts/{chart.name}", abs_src_path=str(chart)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change links that work in a checkout to what works in the site.

    Charts of the studies have a place in it. Other files of the repository do not: they are named.
    An anchor ends in a hyphen on GitHub where its heading ends in punctuation, but not here.
    """
    for study in STUDIES:
        markdown = markdown.replace(f"../{study.as_posix()}/", "charts/")
    markdown = re.sub(r"(\(#[\w-]*?)-+\)", r"\1)", markdown)
    return re.sub(r"(?<!!)\[([^]]+)\]\((?:\.\./)+([\w./-]+)\)", _named(page), markdown)


def _named(page: Page) -> Callable[[re.Match[str]], str]:
    """Name a file outside ``docs`` instead of linking to it; links inside stay."""
    folder = Path(page.file.abs_src_path or "").parent
    docs = folder if page.file.src_uri.count("/") == 0 else folder.parent

    def replaced(link: re.Match[str]) -> str:
        up = link[0].split("](")[1].rstrip(")")
        target = (folder / up).resolve()
        return link[0] if target.is_relative_to(docs.resolve()) else f"{link[1]} (`{link[2]}`)"

    return replaced
