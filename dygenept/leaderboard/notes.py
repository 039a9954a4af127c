"""What a reader must know of a leaderboard beside its rows, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from dygenept.evaluation.comparison import NOT_ABOVE
from dygenept.evaluation.control_cells import MOST_SHARED
from dygenept.leaderboard.challenge import challenge_note
from dygenept.leaderboard.columns import lead_metric
from dygenept.leaderboard.counts import distinct_genes, distinct_perturbations
from dygenept.leaderboard.judgements import CEILING, LINEAR, MIN_TO_CLAIM
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.machine.plain_text import brief
from dygenept.results.provenance import DatasetRecord
from dygenept.results.records import RunRecord
from dygenept.types import in_cell_type

# Before what is said of all parts of a board.
TOGETHER = "all parts together: "
# How a board calls the sources of simulated effects.
SOURCE_WORDS = {
    "common": "common to all perturbations",
    "go_text": "named in GO texts",
    "string_graph": "shared by neighbours in STRING",
    "hidden": "of programs that no knowledge names",
    "own": "of the gene alone",
}


def board_notes(
    rows: Sequence[LeaderboardRow],
    record: RunRecord | None = None,
    *,
    fixed_lead: str | None = None,
    in_parts: bool = False,
) -> tuple[str, ...]:
    """Say what the rows do not: how few they are, who beats nobody, what is to be doubted.

    Args:
        rows: Rows over all held-out perturbations.
        record: One of their records, which tells of the control cells.
        fixed_lead: The metric that a suite or a user puts first.
        in_parts: True of a board that shows parts: what may be otherwise in one of them is said to
            be of all together.
    """
    if not rows:
        return ()
    lead = lead_metric(rows, fixed=fixed_lead)

    def whole(*notes: str) -> tuple[str, ...]:
        return tuple(f"{TOGETHER}{note}" if note and in_parts else note for note in notes)

    found = (
        *whole(_size(rows)),
        _lead(rows, lead, is_fixed=lead == fixed_lead),
        *whole(_claim(rows, lead), _over_linear(rows, lead), *_echoes(rows)),
        _unmarked(rows),
        *whole(_noise(rows)),
        *_of_data(record),
        *_cells(rows),
        *whole(_chance(rows), _ties(rows), _unknown_ties(rows), challenge_note(rows)),
        *_submissions(rows),
        "" if record is None else planted_note(record.dataset),
    )
    return tuple(note for note in found if note)


def planted_note(dataset: DatasetRecord) -> str:
    """Say from which knowledge simulated effects can be read, as shares of their variance."""
    if not dataset.planted:
        return ""
    shares = (
        f"{share:.0%} {SOURCE_WORDS.get(source, source)}"
        for source, share in sorted(dataset.planted.items(), key=lambda item: -item[1])
    )
    draw = "" if dataset.draw is None else f" of draw {dataset.draw}"
    return f"Variance of the planted effects{draw}: {', '.join(shares)}"


def _of_data(record: RunRecord | None) -> tuple[str, ...]:
    if record is None:
        return ()
    matched = record.dataset.mapping.get("match_batches")
    column = record.dataset.mapping.get("batch_column")
    said = f"controls are matched by batch (obs[{column!r}])" if matched is True else ""
    return (_controls(record), said)


def _size(rows: Sequence[LeaderboardRow]) -> str:
    """Count what the values are of: perturbations, and genes where a metric is one of genes."""
    counts = {"perturbation": distinct_perturbations(rows), "gene": distinct_genes(rows)}
    sizes = {unit: n for unit, n in counts.items() if n is not None}
    n_types = max(row.n_cell_types for row in rows)
    said = []
    if n_types > 1:
        listed = " and ".join(_counted(n, unit) for unit, n in sizes.items())
        both = "both" if len(sizes) == 1 else "all"
        said.append(f"{listed} in {n_types} cell types: {both} count for what is shown")
    said += [
        f"{_counted(n, f'held-out {unit}' if unit == 'perturbation' else unit)} "
        f"{'is' if n == 1 else 'are'} too few to show anything of a model"
        for unit, n in sizes.items()
        if n < MIN_TO_CLAIM
    ]
    return "; ".join(said)


def _counted(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"


def _lead(rows: Sequence[LeaderboardRow], lead: str, *, is_fixed: bool) -> str:
    """Say which metric leads and why, and which are not calibrated."""
    by_metric = {row.metric: row.calibration for row in rows}
    if all(of.is_calibrated is None for of in by_metric.values()):
        return ""
    of = by_metric[lead]
    how = f"dynamic range {of.fraction:.2f}" if of.fraction is not None else "range unknown"
    if is_fixed:
        why = f"as was asked for ({how})"
    elif of.is_calibrated:
        why = f"a calibrated metric whose range cannot be told from the largest ({how})"
    else:
        why = "by default: no metric is calibrated on this data set"
    return f"first metric: {lead}, {why}"


def _unmarked(rows: Sequence[LeaderboardRow]) -> str:
    """Say under which metrics the best is not marked, and why."""
    metrics: dict[str, list[str]] = {}
    for row in rows:
        if row.judgement.is_best and not row.is_best:
            of = metrics.setdefault(row.calibration.reason, [])
            of += [] if row.metric in of else [row.metric]
    return "; ".join(
        f"nothing is marked best on {', '.join(of)}, not calibrated on this data set: {reason}"
        for reason, of in metrics.items()
    )


def _claim(rows: Sequence[LeaderboardRow], lead: str) -> str:
    judged = [
        row for row in rows if row.metric == lead and row.judgement.beats_reference is not None
    ]
    if not judged or any(row.judgement.beats_reference for row in judged):
        return ""
    return f"no model is shown to beat {judged[0].judgement.reference} on {lead}"


def _over_linear(rows: Sequence[LeaderboardRow], lead: str) -> str:
    """State the leads of assembled models over the linear one."""
    said = []
    for row in rows:
        found = row.judgement.over_linear
        if row.metric != lead or found is None:
            continue
        ends = "" if found.low is None else f" [{_gain(found.low)}, {_gain(found.high)}]"
        said.append(f"{row.model} {_gain(found.mean)}{ends}")
    return f"gain over {LINEAR} on {lead}: {'; '.join(said)}" if said else ""


def _gain(value: float | None) -> str:
    return "" if value is None else ("+" if value > 0 else "") + brief(value)


def _echoes(rows: Sequence[LeaderboardRow]) -> list[str]:
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.judgement.echo_of is not None:
            found.setdefault(row.judgement.echo_of, {})[row.model] = None
    within = f"{rows[0].judgement.min_gap:.0%}"
    return [
        f"the errors of {', '.join(models)} are those of {trivial}, within {within} of the gap"
        for trivial, models in found.items()
    ]


def _noise(rows: Sequence[LeaderboardRow]) -> str:
    """Say under which metrics the ceiling is no better than the reference, or may not be."""
    inverted = {row.metric: None for row in rows if row.judgement.normalised_reason}
    unsure = {row.metric: None for row in rows if row.judgement.gap_reason == NOT_ABOVE}
    n_metrics = len({row.metric for row in rows})

    def where(metrics: Sequence[str]) -> str:
        return ", ".join(metrics) if len(metrics) < n_metrics else "any metric"

    said = []
    if inverted:
        said.append(
            f"noise exceeds signal: {CEILING} is no better than the reference on "
            f"{where(list(inverted))}"
        )
    if only_unsure := [metric for metric in unsure if metric not in inverted]:
        said.append(
            f"{CEILING} is not shown to be better than the reference on {where(only_unsure)}: "
            "no share of the gap is stated"
        )
    return "; ".join(said)


def _chance(rows: Sequence[LeaderboardRow]) -> str:
    levels = {row.metric: row.chance for row in rows if row.chance}
    if not levels:
        return ""
    return f"chance level: {', '.join(f'{name} {brief(level)}' for name, level in levels.items())}"


def _ties(rows: Sequence[LeaderboardRow]) -> str:
    """Say under which metrics the reference would gain by any order of its ties."""
    gains = {
        row.metric: row.untied
        for row in rows
        if row.untied > 0 and row.model == row.judgement.reference
    }
    if not gains:
        return ""
    reference = next(row.judgement.reference for row in rows if row.metric in gains)
    shown = ", ".join(f"{brief(gain)} on {name}" for name, gain in gains.items())
    return (
        f"{reference} predicts many pairs alike, and any order of these would gain it {shown}: "
        "claims count as if it had"
    )


def _unknown_ties(rows: Sequence[LeaderboardRow]) -> str:
    """Say of whom nothing is claimed since earlier versions did not record what ties cost."""
    models: dict[str, list[str]] = {}
    for row in rows:
        if row.is_untied_unknown:
            models.setdefault(row.metric, []).append(row.model)
    metrics: dict[tuple[str, ...], list[str]] = {}
    for metric, of in models.items():
        metrics.setdefault(tuple(sorted(of)), []).append(metric)
    return "; ".join(
        f"nothing is claimed on {', '.join(of)} of {' and '.join(names)}, or against "
        f"{'it' if len(names) == 1 else 'them'}: an earlier version recorded "
        f"{'it' if len(names) == 1 else 'them'} without what ties cost; run the bench again with "
        "--no-resume"
        for names, of in metrics.items()
    )


def part_notes(parts: Sequence[Sequence[LeaderboardRow]]) -> tuple[str, ...]:
    """Say of each part of a board what ties cost there, and where that is not known.

    Args:
        parts: The rows of each part, in the board's order.
    """
    return tuple(
        f"{rows[0].group}: {note}"
        for rows in parts
        for note in (_ties(rows), _unknown_ties(rows))
        if note
    )


def _cells(rows: Sequence[LeaderboardRow]) -> list[str]:
    models: dict[tuple[int, float], dict[str, None]] = {}
    for row in rows:
        if row.n_cells:
            models.setdefault((min(row.n_cells), median(row.n_cells)), {})[row.model] = None
    return [
        f"{', '.join(names)}: from at least {least} cell{'s' if least > 1 else ''} per "
        f"perturbation, {middle:g} in the median"
        for (least, middle), names in models.items()
    ]


def _submissions(rows: Sequence[LeaderboardRow]) -> list[str]:
    above: dict[str, list[str]] = {}
    for row in rows:
        if row.judgement.above_ceiling:
            above.setdefault(row.model, []).append(row.metric)
    said = [
        f"{model} (submitted) is above the ceiling on {', '.join(metrics)}: check for leakage"
        for model, metrics in above.items()
    ]
    doubts = {row.model: row.doubts for row in rows if row.doubts}
    said += [f"{model} (submitted): {doubt}" for model, of in doubts.items() for doubt in of]
    families = [row.judgement.n_family or 0 for row in rows if row.role == "submitted"]
    if max(families, default=0) > 1:
        said.append(
            "p of a submission is corrected over all that its submitter handed in; those who did "
            "not say who they are count as one"
        )
    return said


def _controls(record: RunRecord) -> str:
    """Warn where the noise of few control cells makes changes alike, whatever is predicted."""
    if record.controls is None:
        return ""
    few = {
        kind: share for kind, share in record.controls.noise_shares.items() if share > MOST_SHARED
    }
    if not few:
        return ""
    kind = max(few, key=lambda name: few[name])
    n_cells = f"{record.controls.n_cells[kind]:,}"
    if len(record.controls.n_cells) > 1:
        where = in_cell_type(kind) or " of unknown type"
        n_cells = f"{n_cells}{where}; {len(few)} of {len(record.controls.n_cells)} cell types"
    if record.dataset.mapping.get("match_batches") is True:
        n_cells = f"{n_cells}, of all batches; a perturbation is compared with those of its own"
    return (
        f"few control cells ({n_cells}): {few[kind]:.0%} of the noise of a change comes from them, "
        "which the predicted and the true change share; read the metrics that end in split_control"
    )
