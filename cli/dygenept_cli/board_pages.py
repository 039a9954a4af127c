"""Leaderboards as an HTML page: one wide table a leaderboard, one column a metric."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dygenept_cli.tables import MARKS, lead_metric, marks, number, title

if TYPE_CHECKING:
    from dygenept.leaderboard.rows import LeaderboardRow
    from dygenept.results.records import RunRecord

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
.simulated { background: #fff3cd; padding: 0 .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
td { vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; }
th.text, td.text { text-align: left; white-space: nowrap; }
td.best { font-weight: 700; background: #e6f4ea; }
td.near { background: #f3faf5; }
td.behind { color: #8a5a00; }
tr.ceiling td, tr.floor td { color: #777; font-style: italic; }
small { display: block; color: #777; font-weight: 400; white-space: nowrap; }
p { color: #555; max-width: 70rem; }
"""


def html_board(first: RunRecord, rows: Sequence[LeaderboardRow]) -> str:
    """Render one leaderboard; each group of a grouped one is a table of its own."""
    if not rows:
        return ""
    heading = html.escape(title(first.dataset, first.split).removeprefix("SIMULATED DATA · "))
    label = '<span class="simulated">SIMULATED DATA</span> ' if first.dataset.simulated else ""
    groups = list(dict.fromkeys(row.group for row in rows))
    tables = [_table([row for row in rows if row.group == group], group) for group in groups]
    return f"<h2>{label}{heading}</h2>\n{''.join(tables)}"


def html_page(boards: str) -> str:
    """Wrap rendered leaderboards in a page that needs no other file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>DyGenePT leaderboards</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Leaderboards</h1>\n<p>Values pooled over all held-out perturbations, below them the "
        f"95&nbsp;% bootstrap interval; {html.escape(MARKS)}; normalised: 0 is perturbed_mean, "
        f"1 is technical_duplicate. Ceilings and floors are set in italics and compete with no "
        f"one.</p>\n{boards}</body>\n</html>\n"
    )


def _table(rows: Sequence[LeaderboardRow], group: str | None) -> str:
    metrics = list(dict.fromkeys(row.metric for row in rows))
    lead = lead_metric(metrics)
    metrics.sort(key=lambda name: name != lead)
    found = {(row.model, row.metric): row for row in rows}
    of_lead = [row for row in rows if row.metric == lead]
    order = [row.model for row in sorted(of_lead, key=lambda row: (row.rank, row.model))]
    order += [model for model in dict.fromkeys(row.model for row in rows) if model not in order]
    heads = "".join(f"<th>{_heading(name, rows)}</th>" for name in metrics)
    body = "\n".join(
        _line(model, [found.get((model, name)) for name in metrics]) for model in order
    )
    count = max(row.n_perturbations for row in rows)
    caption = "" if group is None else f"<p>{html.escape(group)}: {count} perturbations</p>\n"
    return (
        f'{caption}<div class="scroll"><table>\n<thead><tr><th>rank</th><th class="text">model</th>'
        f"<th>normalised</th>{heads}<th>folds</th></tr></thead>\n<tbody>\n{body}\n</tbody>\n"
        "</table></div>\n"
    )


def _heading(name: str, rows: Sequence[LeaderboardRow]) -> str:
    is_higher = next(row for row in rows if row.metric == name).higher_is_better
    return f"{html.escape(name).replace('_', '_<wbr>')}&nbsp;{'↑' if is_higher else '↓'}"


def _line(model: str, cells: Sequence[LeaderboardRow | None]) -> str:
    lead = cells[0]
    present = next(row for row in cells if row is not None)
    rank = "–" if lead is None else str(lead.rank)
    normalised = None if lead is None else lead.normalised
    values = "".join(_cell(row) for row in cells)
    return (
        f'<tr class="{present.role}"><td>{rank}</td><td class="text">{html.escape(model)}'
        f"<small>{present.role}</small></td><td>{number(normalised)}</td>{values}"
        f"<td>{present.n_folds}</td></tr>"
    )


def _cell(row: LeaderboardRow | None) -> str:
    if row is None or row.pooled is None:
        return "<td>–</td>"
    kind = "best" if row.is_best else "near" if row.indistinguishable_from_best else ""
    if row.beats_perturbed_mean is False:
        kind = f"{kind} behind".strip()
    undefined = f", {row.n_undefined} undefined" if row.n_undefined else ""
    interval = f"[{number(row.ci_low)}, {number(row.ci_high)}]{undefined}"
    return (
        f'<td class="{kind}">{number(row.pooled)} {html.escape(marks(row))}'
        f"<small>{html.escape(interval)}</small></td>"
    )
