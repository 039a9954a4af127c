"""What a page knows of one board, as one compact document that its script reads.

Scores and changes are packed (see ``packed``): of 20 models × 13 metrics × 1,092 perturbations they
take about a megabyte. Where more would not fit, the page leaves out what is largest and says so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.columns import JsonDocument, leading_first
from dygenept.leaderboard.counts import counted_in_words
from dygenept.leaderboard.judgements import TRIVIAL
from dygenept.leaderboard.metric_table import Unit
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.leaderboard.wide import by_model
from dygenept.machine.plain_text import printable, printable_json
from dygenept.reports.changes import TopChanges, top_changes
from dygenept.reports.model_facts import model_facts
from dygenept.reports.packed import pack, pack_whole
from dygenept.reports.scores import BoardScores
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.types import DoubleArray

# Signs that all scores of one board may take, and a board with the page around it.
MOST_SCORES = 620_000
MOST_SIGNS = 1_492_000
NO_FOLDER = "no results folder was at hand when this page was made"
# Predicted changes beyond this many times the largest measured one are drawn at the edge.
LIMIT = 2.0
LEVELS = 254
# Columns of a board that its page draws itself; the panel of a model lists whatever others it has.
DRAWN = frozenset(("place", "model", "folds", "group", "gap_closed"))
TOO_LARGE = "left out to keep the page small: {}; `dygenept show` has them"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBoard:
    """A board and what a page shows behind its rows.

    Attributes:
        board: The board.
        records: Its records; empty shows its rows alone.
        store: The results folder, for predictions; None where there is none.
    """

    board: Board[LeaderboardRow]
    records: Sequence[RunRecord] = ()
    store: ResultsStore | None = None


def page_data(shown: PageBoard, *, n_around: int = 0) -> JsonDocument:
    """Return what the script of a page reads of one board.

    Args:
        shown: The board.
        n_around: Signs of the page around it.
    """
    board, rows = shown.board, shown.board.overall.rows
    metrics = leading_first(rows, fixed=board.fixed_lead)
    records = tuple(shown.records)
    scores = BoardScores.of(records)
    models = [next(iter(found.values())).model for found in by_model(rows, metrics[0])]
    by_name: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda of: of.fold):
        by_name.setdefault(record.model, []).append(record)
    roles = {row.model: row.role for row in rows}
    document: JsonDocument = {
        "lead": board.lead,
        "trivial": [name for name in TRIVIAL if name in roles],
        "models": [
            {
                "name": printable(name),
                "role": roles[name],
                "facts": model_facts(by_name[name]) if name in by_name else None,
            }
            for name in models
        ],
        "metrics": [_metric(name, models, board) for name in metrics],
        "dataset": board.first.dataset.model_dump(mode="json", exclude={"mapping", "file"}),
        "split": board.first.split.model_dump(mode="json"),
        "suite": board.first.suite,
        "de_list": board.first.de_list,
    }
    if not records:
        return document
    document |= _units(scores, board.lead)
    document |= {
        "scores": _scores(scores, metrics, models),
        "reasons": _reasons(scores, metrics, models),
    }
    if shown.store is None:
        return {**document, "changes": {"missing": NO_FOLDER}}
    found = top_changes(shown.store, records, scores.units)
    if isinstance(found, str):
        return {**document, "changes": {"missing": found}}
    of = [name for name in models if name in found.predicted]
    room = MOST_SIGNS - len(page_json(document)) - n_around
    return {**document, "changes": packed_changes(found, of, room=room)}


def page_json(document: JsonDocument) -> str:
    """Write a document so that it may stand between script tags of a page."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return printable_json(text)


def _metric(name: str, models: Sequence[str], board: Board[LeaderboardRow]) -> dict[str, object]:
    rows = board.overall.rows
    of = {row.model: row for row in rows if row.metric == name}
    first = next(iter(of.values()))
    of_model = [of.get(model) for model in models]

    def column(value: str) -> list[float | None]:
        return [None if row is None else _brief(_value(row, value)) for row in of_model]

    judged = [None if row is None else row.judgement for row in of_model]
    return {
        "name": name,
        "up": first.higher_is_better,
        "calibrated": first.calibrated,
        "range": [_brief(getattr(first.calibration, part)) for part in ("fraction", "low", "high")],
        "why": first.calibration.reason,
        "chance": _brief(first.chance),
        "value": column("pooled"),
        "low": column("ci_low"),
        "high": column("ci_high"),
        "gap": [None if of is None else _brief(of.gap_closed) for of in judged],
        "gaplow": [None if of is None else _brief(of.gap_low) for of in judged],
        "gaphigh": [None if of is None else _brief(of.gap_high) for of in judged],
        "p": [None if of is None else _brief(of.p_corrected) for of in judged],
        "rank": [None if row is None else row.place for row in of_model],
        "marks": ["" if row is None else row.marks for row in of_model],
        "n": [_scored_over(row) for row in of_model],
        "undefined": [0 if row is None else row.total.n_undefined for row in of_model],
        "reference": first.judgement.reference,
        "more": [
            [
                column.heading or column.name,
                ["" if row is None else column.short(column.value(row)) for row in of_model],
            ]
            for column in board.layout.shown(rows, "html")
            if column.name not in DRAWN
        ],
    }


def _scored_over(row: LeaderboardRow | None) -> int | str:
    """Return over how many held-out conditions a row is; in words where genes have a value each."""
    if row is None:
        return 0
    return row.total.n_perturbations if row.unit == "perturbation" else counted_in_words([row])


def _value(row: LeaderboardRow, name: str) -> float | None:
    return {"pooled": row.total.pooled, "ci_low": row.total.ci_low, "ci_high": row.total.ci_high}[
        name
    ]


def _units(scores: BoardScores, lead: str) -> JsonDocument:
    types = sorted({unit.cell_type for unit in scores.units})
    effects = {
        Unit(record.fold, label, cell_type): size
        for record in scores.records
        for cell_type, of in record.effects.items()
        for label, size in of.items()
    }
    parts: dict[str, object] = {}
    for by, of_unit in scores.parts(lead).items():
        if isinstance(of_unit, str):
            parts[by] = of_unit
            continue
        names = list(dict.fromkeys(of_unit.values()))
        place = {name: number for number, name in enumerate(names)}
        numbers = np.array([place.get(of_unit.get(unit, ""), 63) for unit in scores.units])
        # A part is one character: more than 63 parts tell nobody anything.
        if 0 < len(names) < 63 and not (by == "cell_type" and len(names) == 1):
            parts[by] = {"names": names, "of": pack_whole(numbers, digits=1)}
    kinds = {metric.name: metric.unit for record in scores.records for metric in record.metrics}
    return {
        "units": {
            "names": [printable(unit.perturbation) for unit in scores.units],
            "folds": [unit.fold + 1 for unit in scores.units],
            "types": types,
            "type": [types.index(unit.cell_type) for unit in scores.units],
            "effect": [_brief(effects.get(unit)) for unit in scores.units] if effects else None,
            "genes": sorted(name for name, unit in kinds.items() if unit == "gene"),
        },
        "parts": parts,
    }


def _scores(
    scores: BoardScores, metrics: Sequence[str], models: Sequence[str]
) -> dict[str, object]:
    n_rows, n_units = len(metrics) * len(models), len(scores.units)
    digits = 3 if 3 * n_rows * n_units <= MOST_SCORES // 2 else 2
    # The metrics in front are those that matter most.
    n_kept = max(1, MOST_SCORES // (digits * len(models) * n_units)) if n_units else len(metrics)
    kept = metrics[:n_kept]
    return {
        "digits": digits,
        "of": {
            name: [
                pack(values, digits=digits).document()
                if (values := scores.values.get(name, {}).get(model)) is not None
                else None
                for model in models
            ]
            for name in kept
        },
        "missing": (
            TOO_LARGE.format(f"the scores of {', '.join(metrics[n_kept:])}")
            if metrics[n_kept:]
            else ""
        ),
    }


def _reasons(
    scores: BoardScores, metrics: Sequence[str], models: Sequence[str]
) -> dict[str, object]:
    """Return reasons once each, and where they apply: metric, model, unit, reason."""
    texts = list(dict.fromkeys(scores.reasons.values()))[:64]
    number = {text: place for place, text in enumerate(texts)}
    place = {unit: row for row, unit in enumerate(scores.units)}
    # A reason that holds of every model is that of the condition.
    of: dict[tuple[int, int], int] = {}
    for (metric, model, unit), text in scores.reasons.items():
        if metric in metrics and model in models and text in number:
            of.setdefault((metrics.index(metric), place[unit]), number[text])
    most = 4000
    return {"texts": texts, "of": [[*where, text] for where, text in list(of.items())[:most]]}


def packed_changes(found: TopChanges, models: Sequence[str], *, room: int) -> JsonDocument:
    """Pack changes in units of the largest measured one of each condition.

    Args:
        found: The changes.
        models: Models that have some, those that matter most first.
        room: Signs that the models' changes may take.
    """
    n_units, n_top = found.true.shape
    used, where = np.unique(found.genes[found.genes >= 0], return_inverse=True)
    digits = 2 if len(used) < 64**2 else 3
    genes = np.full((n_units, n_top), 64**digits - 1, dtype=np.int64)
    genes[found.genes >= 0] = where
    scale = np.nan_to_num(np.abs(found.true)).max(axis=1, initial=0.0)
    scale = np.array([float(f"{value:.3g}") for value in np.where(scale > 0, scale, 1.0).tolist()])
    shared = {
        "symbols": [printable(found.symbols[gene]) for gene in used.tolist()],
        "digits": digits,
        "genes": pack_whole(genes, digits=digits),
        "n": n_top,
        "limit": LIMIT,
        "scale": scale.tolist(),
        "true": _relative(found.true, scale),
    }
    left = room - len(json.dumps(shared))
    n_kept = max(1, left // max(1, len(_relative(found.true, scale))))
    kept, others = models[:n_kept], models[n_kept:]
    return {
        **shared,
        "of": {printable(name): _relative(found.predicted[name], scale) for name in kept},
        "missing": TOO_LARGE.format(f"the changes of {', '.join(others)}") if others else "",
    }


def _relative(values: DoubleArray, scale: DoubleArray) -> str:
    """Pack values of -LIMIT to LIMIT times their row's scale: a byte a number, 255 for none."""
    relative = np.clip(values / scale[:, None], -LIMIT, LIMIT)
    places = np.rint((relative + LIMIT) / (2 * LIMIT) * LEVELS)
    codes = np.where(np.isnan(places), LEVELS + 1, places).astype(np.uint8)
    return base64.b64encode(codes.tobytes()).decode()


def _brief(value: float | None) -> float | None:
    return None if value is None or value != value else float(f"{value:.6g}")
