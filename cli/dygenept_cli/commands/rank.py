"""``dygenept rank``: which model is best over several metrics and data sets?"""

from __future__ import annotations

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.options import ResultsFlags


def rank(wanted: ResultsFlags, as_json: options.JsonOption = False) -> None:
    """Rank models by their mean rank over metrics and data sets.

    On each leaderboard and metric of the results folder, competitors (not ceilings or floors) are
    ranked by their pooled value, ties sharing the middle rank; the mean of these ranks orders the
    models. Leaderboards that differ only in their seed count as one. The table also counts how
    often a model is the best, how often it cannot be told from the best, and how often it is not
    shown to beat perturbed_mean and control_mean. Models that miss a leaderboard come last.
    Simulated and real data are ranked apart.
    """
    from dygenept.leaderboard.across_seeds import seed_groups
    from dygenept.leaderboard.comparisons import rank_models
    from dygenept_cli.views.boards import chosen_boards
    from dygenept_cli.views.comparisons import show_ranking

    metrics = wanted.metrics
    with chosen_boards(wanted.results, dataset=wanted.dataset, metrics=metrics) as boards:
        found = [
            (simulated, of, rank_models(of, metrics=metrics))
            for simulated in (False, True)
            if (of := [records for records in boards if records[0].dataset.simulated == simulated])
        ]
    if as_json:
        rankings = [
            {
                "simulated": simulated,
                "datasets": sorted({records[0].dataset.name for records in of}),
                "n_leaderboards": len(seed_groups(of)),
                "models": [row.document() for row in rows],
            }
            for simulated, of, rows in found
        ]
        console.print_json({"rankings": rankings})
        return
    for _, of, rows in found:
        show_ranking(of, rows)
