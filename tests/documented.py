"""What documentation shows as code: its blocks, and what a test does with each.

A block of ``console`` or ``python`` is run, unless a comment right before it says why not::

    <!-- not run: it downloads 100 MB -->
    <!-- file: mine.yaml -->      the block is written into this file, whatever its language
    <!-- edit: my_metric.py -->   a diff: what it takes away must be in the file, once
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

RUNNABLE = ("console", "bash", "python")
_BLOCK = re.compile(
    r"(?:<!-- (?P<what>not run|file|edit): (?P<argument>.+?) -->\n+)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"(?:^|\s)#\s.*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code on a page.

    Attributes:
        language: Such as ``console``.
        code: Its text.
        what: ``not run``, ``file`` or ``edit``; empty for a block that is run or only read.
        argument: The reason, or the file.
        line: Where it begins, counted from 1.
    """

    language: str
    code: str
    what: str
    argument: str
    line: int

    @property
    def is_run(self) -> bool:
        """True if a test runs it."""
        return not self.what and self.language in RUNNABLE


def blocks_of(page: str) -> tuple[Block, ...]:
    """Return the blocks of a page in order."""
    return tuple(
        Block(
            found["language"],
            found["code"],
            found["what"] or "",
            found["argument"] or "",
            page.count("\n", 0, found.start("code")),
        )
        for found in _BLOCK.finditer(page)
    )


def commands_of(code: str) -> list[list[str]]:
    """Return the command lines of a console block as lists of arguments, comments left out."""
    joined = re.sub(r"\\\n\s*", " ", code)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [shlex.split(line) for line in lines if line]


def edited(text: str, diff: str) -> str:
    """Apply a diff of lines that begin with ``-`` and ``+``.

    Raises:
        AssertionError: If what it takes away is not in the text exactly once.
    """
    old = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("-"))
    new = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("+"))
    assert old, "nothing to take away"
    assert text.count(old) == 1, f"not exactly once in the file:\n{old}"
    return text.replace(old, new)


def anchors_of(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    found = set()
    for heading in re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S), flags=re.M
    ):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


def links_of(page: str) -> list[str]:
    """Return what a page links to, code left out."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def pages(root: Path) -> list[Path]:
    """Return every page that people read, in the checkout."""
    fixed = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*fixed, *sorted((root / "docs").rglob("*.md"))]
