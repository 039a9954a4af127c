"""Boards of a results folder as a static site: pages that link to each other, and downloads.

    index.html            every board with its leading model
    boards/ID.html        one page per board (see ``page``), with ID.csv, ID.json, ID-scores.csv
    models/NAME.html      one model on every board
    datasets/NAME.html    one data set: its statistics and boards
    feed.xml              new records, newest first (RSS 2.0)

Links are relative, so that the site works from any address and from a disk.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.columns import number
from dygenept.leaderboard.formats import render
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.machine.plain_text import csv_cell, printable, printable_json
from dygenept.machine.whole_files import write_whole
from dygenept.reports.page import PageFrame, html_page, page_board, render_template
from dygenept.reports.per_perturbation import score_table
from dygenept.results.provenance import DatasetRecord
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

if TYPE_CHECKING:
    import polars as pl

N_NEWS = 100


@dataclass(frozen=True, slots=True)
class SiteBoard:
    """One board of a site.

    Attributes:
        id: Name of its files.
        board: The board.
        records: Its records.
    """

    id: str
    board: Board[LeaderboardRow]
    records: tuple[RunRecord, ...]

    @property
    def dataset(self) -> DatasetRecord:
        """Its data set."""
        return self.board.first.dataset

    def leaders(self) -> list[LeaderboardRow]:
        """Return its rows under the leading metric, ceilings and floors left out, best first."""
        return [
            row
            for row in self.board.overall.rows
            if row.metric == self.board.lead and row.role not in ("ceiling", "floor")
        ]


@dataclass(frozen=True, slots=True)
class SiteFrame:
    """What a site is called and where it will be.

    Attributes:
        title: Its title.
        address: Its address on the web, for the feed's links; empty leaves these relative.
        cite: Makes BibTeX of records; None leaves citations out.
        date: Day on which it is made; empty is today.
    """

    title: str = "Gene perturbation leaderboards"
    address: str = ""
    cite: Callable[[Sequence[RunRecord]], str] | None = None
    date: str = ""


def site_boards(
    pairs: Sequence[tuple[Board[LeaderboardRow], Sequence[RunRecord]]],
) -> list[SiteBoard]:
    """Name the files of boards after their data set, suite and split."""
    found = []
    for board, records in pairs:
        first = board.first
        names = (first.dataset.name, first.suite, first.split.name, f"seed{first.split.seed}")
        parts = (first.dataset.sha256, first.split.sha256, first.suite, first.de_list)
        mark = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
        found.append(SiteBoard(f"{_slug('-'.join(names))}-{mark}", board, tuple(records)))
    return sorted(found, key=lambda item: (item.dataset.simulated, item.id))


def build_site(
    boards: Sequence[SiteBoard], output: Path, *, results: ResultsStore, frame: SiteFrame
) -> list[Path]:
    """Write the site; files of an earlier one with the same names are replaced.

    Args:
        boards: Its boards.
        output: The folder.
        results: The results folder, for predictions.
        frame: What the site is called.

    Returns:
        The files that were written.

    Raises:
        OSError: If one cannot be written.
    """
    written = []
    for name, content in _files(boards, results, frame):
        path = output / name
        write_whole(path, content)
        written.append(path)
    return written


def _files(
    boards: Sequence[SiteBoard], results: ResultsStore, frame: SiteFrame
) -> Iterator[tuple[str, bytes]]:
    day = frame.date or datetime.now(UTC).date().isoformat()
    shared = {"site": frame.title, "date": day}
    for item in boards:
        page = page_board(item.board, item.records, results=results)
        around = PageFrame(
            heading=frame.title,
            links=(
                ("../index.html", "All boards"),
                (f"../datasets/{_dataset_file(item.dataset)}", "Data set"),
                (f"{item.id}.csv", "CSV"),
                (f"{item.id}.json", "JSON"),
                (f"{item.id}-scores.csv", "Scores by perturbation (CSV)"),
            ),
            citations="" if frame.cite is None else frame.cite(item.records),
            feed="../feed.xml",
            date=day,
        )
        yield f"boards/{item.id}.html", html_page([page], around).encode()
        yield f"boards/{item.id}.csv", render([item.board], "csv").encode()
        yield f"boards/{item.id}.json", render([item.board], "json").encode()
        yield f"boards/{item.id}-scores.csv", _scores_csv(score_table(item.records))
    for model in sorted({row.model for item in boards for row in item.board.overall.rows}):
        text = render_template("site_model.html", {**shared, **_model(model, boards)})
        yield f"models/{model_file(model)}", text.encode()
    datasets = {_dataset_file(item.dataset): item.dataset for item in boards}
    for name, dataset in datasets.items():
        of = [item for item in boards if _dataset_file(item.dataset) == name]
        yield (
            f"datasets/{name}",
            render_template("site_dataset.html", {**shared, **_dataset(dataset, of)}).encode(),
        )
    index = {
        **shared,
        "boards": [_entry(item, "") for item in boards],
        "datasets": [
            {"href": f"datasets/{name}", "name": dataset.name, "simulated": dataset.simulated}
            for name, dataset in datasets.items()
        ],
    }
    yield "index.html", render_template("site_index.html", index).encode()
    listed = {"schema_version": 1, "made": day, "boards": [_listed(item) for item in boards]}
    text = printable_json(json.dumps(listed, indent=1, ensure_ascii=False))
    yield "boards.json", f"{text}\n".encode()
    feed = {**shared, "items": _news(boards, frame.address), "address": frame.address}
    yield "feed.xml", render_template("feed.xml", feed).encode()
    # GitHub Pages would leave files of some names out.
    yield ".nojekyll", b""


def _entry(item: SiteBoard, up: str) -> dict[str, object]:
    leaders = item.leaders()
    best = next((row for row in leaders if row.is_best), None)
    near = [row.model for row in leaders if row.is_among_best]
    return {
        "href": f"{up}boards/{item.id}.html",
        "title": item.board.title,
        "simulated": item.dataset.simulated,
        "dataset": item.dataset.name,
        "suite": item.board.first.suite,
        "lead": item.board.lead,
        "best": "–" if best is None else best.model,
        "best_href": "" if best is None else f"{up}models/{model_file(best.model)}",
        "value": number(None if best is None else best.total.pooled),
        "n_near": max(0, len(near) - 1),
        "n_models": len(leaders),
        "newest": max(record.created for record in item.records)[:10],
        "downloads": [
            {"href": f"{up}boards/{item.id}.csv", "text": "CSV"},
            {"href": f"{up}boards/{item.id}.json", "text": "JSON"},
        ],
    }


def _listed(item: SiteBoard) -> dict[str, object]:
    first = item.board.first
    return {
        "id": item.id,
        "dataset": first.dataset.name,
        "dataset_sha256": first.dataset.sha256,
        "simulated": first.dataset.simulated,
        "suite": first.suite,
        "split": first.split.model_dump(mode="json"),
        "de_list": first.de_list,
        "page": f"boards/{item.id}.html",
        "csv": f"boards/{item.id}.csv",
        "json": f"boards/{item.id}.json",
        "scores": f"boards/{item.id}-scores.csv",
    }


def _model(model: str, boards: Sequence[SiteBoard]) -> dict[str, object]:
    rows = []
    for item in boards:
        found = [row for row in item.board.overall.rows if row.model == model]
        if not found:
            continue
        lead = next((row for row in found if row.metric == item.board.lead), found[0])
        rivals = [row.model for row in item.leaders()]
        anchor = f"#board-1/model/{_quoted(printable(model))}"
        rows.append(
            {
                "href": f"../boards/{item.id}.html{anchor}",
                "title": item.board.title,
                "simulated": item.dataset.simulated,
                "role": lead.role,
                "metric": lead.metric,
                "value": f"{number(lead.total.pooled)} {lead.marks}".strip(),
                "low": number(lead.total.ci_low),
                "high": number(lead.total.ci_high),
                "rank": f"{rivals.index(model) + 1} of {len(rivals)}" if model in rivals else "–",
                "gap": number(lead.judgement.gap_closed),
            }
        )
    return {"model": model, "rows": rows}


def _dataset(dataset: DatasetRecord, boards: Sequence[SiteBoard]) -> dict[str, object]:
    labels = {
        value.perturbation
        for item in boards
        for record in item.records
        for metric in record.metrics
        if metric.unit == "perturbation"
        for value in metric.values
    }
    sizes = sorted(
        size
        for record in {record.fold: record for of in boards for record in of.records}.values()
        for by_label in record.effects.values()
        for size in by_label.values()
    )
    controls: Mapping[str, int] = next(
        (of.controls.n_cells for item in boards for of in item.records if of.controls), {}
    )
    facts = [
        ("cells", f"{dataset.n_cells:,}"),
        ("genes", f"{dataset.n_genes:,}"),
        ("perturbations", f"{dataset.n_perturbations:,}"),
        ("held out on these boards", f"{len(labels):,}"),
        (
            "combinations among them",
            f"{sum('+' in label and not label.endswith('+ctrl') for label in labels):,}",
        ),
        *((f"control cells, {name}", f"{n:,}") for name, n in controls.items()),
        ("kind", "table of effects" if dataset.kind == "effects" else "cells"),
        *((("draw of the simulator", str(dataset.draw)),) if dataset.draw is not None else ()),
        ("sha256", dataset.sha256),
    ]
    if sizes:
        middle, last = sizes[len(sizes) // 2], sizes[-1]
        facts.append(
            ("effect sizes", f"{number(sizes[0])} to {number(last)}, median {number(middle)}")
        )
    return {
        "name": dataset.name,
        "simulated": dataset.simulated,
        "facts": [{"name": name, "value": value} for name, value in facts],
        "notes": list(dataset.notes),
        "boards": [_entry(item, "../") for item in boards],
    }


def _news(boards: Sequence[SiteBoard], address: str) -> list[dict[str, str]]:
    """Return what was added, one line per model and board, newest first."""
    newest: dict[tuple[str, str], tuple[str, SiteBoard]] = {}
    for item in boards:
        for record in item.records:
            key = (item.id, record.model)
            newest[key] = max(
                newest.get(key, ("", item)), (record.created, item), key=lambda of: of[0]
            )
    ordered = sorted(newest.items(), key=lambda entry: (entry[1][0], entry[0]), reverse=True)
    base = f"{address.rstrip('/')}/" if address else ""
    return [
        {
            "title": f"{model} on {item.board.title}",
            "link": f"{base}boards/{item.id}.html",
            "guid": f"{item.id}/{_quoted(model)}/{created}",
            "date": _rfc_date(created),
        }
        for (_, model), (created, item) in ordered[:N_NEWS]
    ]


def _rfc_date(created: str) -> str:
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return ""
    return format_datetime(when if when.tzinfo else when.replace(tzinfo=UTC))


def _scores_csv(table: pl.DataFrame) -> bytes:
    import polars as pl

    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    safe = [
        pl.Series(name, [csv_cell(value) for value in table[name].to_list()], dtype=pl.String)
        for name in texts
    ]
    return table.with_columns(safe).write_csv().encode()


def model_file(model: str) -> str:
    """Return the name of a model's page; different models have different ones."""
    mark = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{_slug(model)}-{mark}.html"


def _dataset_file(dataset: DatasetRecord) -> str:
    return f"{_slug(dataset.name)}-{hashlib.sha256(dataset.sha256.encode()).hexdigest()[:6]}.html"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80] or "unnamed"


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
