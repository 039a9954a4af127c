"""What the records of one board say of a model beside its scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from dygenept.leaderboard.columns import JsonDocument
from dygenept.results.records import RunRecord


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model took over all folds.

    Attributes:
        fit_s: Wall-clock seconds of fitting.
        predict_s: Of predicting.
        score_s: Of scoring.
        peak_memory_bytes: The largest peak of a fold, that of a child process included.
    """

    fit_s: float
    predict_s: float
    score_s: float
    peak_memory_bytes: int


def cost_of(records: Sequence[RunRecord]) -> Cost:
    """Add up what one model's folds took."""
    return Cost(
        fit_s=sum(record.timings.fit_s for record in records),
        predict_s=sum(record.timings.predict_s for record in records),
        score_s=sum(record.timings.score_s for record in records),
        peak_memory_bytes=max(
            max(record.peak_memory_bytes, record.child.peak_memory_bytes if record.child else 0)
            for record in records
        ),
    )


def model_facts(records: Sequence[RunRecord]) -> JsonDocument:
    """Say what is known of one model, fold by fold where folds differ.

    Args:
        records: One model's records of one board.
    """
    first, cost = records[0], cost_of(records)
    return {
        "base": first.base_model,
        "config": first.config,
        "folds": sorted(record.fold + 1 for record in records),
        "n_folds": first.split.n_folds,
        "created": sorted({record.created for record in records})[-1],
        "seed": first.seed,
        "device": _distinct(record.device for record in records),
        "threads": first.threads,
        "fit_s": _brief(cost.fit_s),
        "predict_s": _brief(cost.predict_s),
        "score_s": _brief(cost.score_s),
        "memory": cost.peak_memory_bytes,
        "chosen": _chosen(records),
        "versions": first.versions,
        "code": _distinct("not recorded" if of.code is None else of.code.words for of in records),
        "plugins": [
            f"{of.kind}: {of.name} ({of.distribution} {of.version}"
            + (f", code {of.code_sha256[:12]})" if of.code_sha256 else ")")
            for of in first.plugins
        ],
        "notes": _distinct(note for record in records for note in record.notes),
        "doubts": [] if first.submission is None else list(first.submission.doubts),
        "submitter": "" if first.submission is None else first.submission.submitter,
        "family": len(first.family),
        "keys": [record.key for record in records],
    }


def _chosen(records: Sequence[RunRecord]) -> dict[str, object]:
    """Return what the model settled on: a mean over folds where these are fractions."""
    names = dict.fromkeys(name for record in records for name in record.chosen)
    found: dict[str, object] = {}
    for name in names:
        values = [record.chosen[name] for record in records if name in record.chosen]
        if len(set(values)) == 1:
            found[name] = values[0]
            continue
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values):
            low, high = min(numbers), max(numbers)
            found[name] = f"{fmean(numbers):.4g} on average over folds ({low:.4g} to {high:.4g})"
        else:
            found[name] = ", ".join(map(str, values))
    return found


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _brief(value: float) -> float:
    return float(f"{value:.4g}")
