"""A board with attacks on it: who predicts what, and the records of their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
N, GENES = 33, 120
ROLES = {"technical_duplicate": "ceiling", "truth": "ceiling"}


def correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        left = left - left.mean(axis=1, keepdims=True)
        right = right - right.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        return np.where(norms > 1e-12, (left * right).sum(axis=1) / norms, np.nan)


def records_of(
    record: MakeRecord, predictions: Mapping[str, np.ndarray], families: Sequence[str] = ()
) -> list[RunRecord]:
    truth, mean = predictions["truth"], predictions["perturbed_mean"]
    made = []
    for name, predicted in predictions.items():
        scores = {
            "mse": ((predicted - truth) ** 2).mean(axis=1),
            "pearson_delta": correlation(predicted - 2.0, truth - 2.0),
            "pearson_delta_perturbed_ref": correlation(predicted - mean, truth - mean),
        }
        parts = [
            record(
                key=name,
                model=name,
                role=ROLES.get(name, "baseline"),
                metric=metric,
                higher_is_better=metric != "mse",
                neutral=None if metric == "mse" else 0.0,
                values=tuple(None if np.isnan(value) else float(value) for value in of),
                family=tuple(families) if name in families else (name,),
            )
            for metric, of in scores.items()
        ]
        metrics = tuple(metric for part in parts for metric in part.metrics)
        made.append(parts[0].model_copy(update={"metrics": metrics}))
    return made


def by_place(rows: Sequence[LeaderboardRow]) -> dict[tuple[str, str], LeaderboardRow]:
    return {(row.model, row.metric): row for row in rows}


def attacked_predictions() -> dict[str, np.ndarray]:
    """Truth, what is trivial, a model that knows something, and attacks made of it."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=GENES), rng.normal(size=(N, GENES))
    truth = 2.0 + shared + own
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    control = np.full(truth.shape, 2.0)
    model = 2.0 + shared + 0.6 * own + 0.4 * rng.normal(size=(N, GENES))
    return {
        "truth": truth,
        "technical_duplicate": truth + 0.2 * rng.normal(size=truth.shape),
        "perturbed_mean": mean,
        "control_mean": control,
        "model": model,
        "epsilon": mean + 0.001 * (model - mean),
        "larger epsilon": mean + 0.02 * (model - mean),
        "epsilon of control": control + 0.001 * (model - control),
        "scaled mean": control + 3.0 * (mean - control),
        "constant": np.full(truth.shape, 1.0),
        "counts": np.expm1(mean) * 100.0,
    }
