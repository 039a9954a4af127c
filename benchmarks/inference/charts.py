"""Which charts the study of intervals and claims draws of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from figures import Chart

Row = dict[str, str | int | float]
POWER_AXIS = "mean difference, in standard deviations"


def charts(
    parts: Mapping[str, Sequence[Row]], n_perturbations: Sequence[int], small: Sequence[int]
) -> dict[str, Chart]:
    """Draw what the tables show.

    Args:
        parts: Rows of each part of the study.
        n_perturbations: Numbers of perturbations of most parts.
        small: Those of false claims.
    """
    independent, clustered, claims, _, _, powers, *_ = parts.values()
    sizes = [f"n = {n}" for n in n_perturbations]
    all_sizes = [f"n = {n}" for n in small]

    def shares(row: Row, names: Sequence[str], before: str = "") -> list[float]:
        return [float(row[f"{before}{name}"]) for name in names]

    covered = {str(row["values"]): shares(row, sizes) for row in independent}
    covered["percentile, error"] = shares(independent[2], sizes, "percentile, ")
    worst = [row for row in clustered if row["differences of cell types"] == "some"]
    in_types = {str(row["values"]): shares(row, sizes) for row in worst}
    in_types["as if independent"] = shares(worst[0], sizes, "as if independent, ")
    claimed = {str(row["differences"]): shares(row, all_sizes) for row in claims}
    claimed["percentile, normal"] = shares(claims[0], all_sizes, "percentile, ")
    effects = [f"{row['mean difference, in standard deviations']:g}" for row in powers]
    shown = {
        name: [float(row[name]) for row in powers]
        for name in ("n = 6", *sizes, "one of ten, n = 33")
    }
    large, few = ([name.removeprefix("n = ") for name in names] for names in (sizes, all_sizes))
    return {
        "coverage": Chart("95 % intervals cover the truth", large, 0.8, 1.0, covered, (0.93, 0.97)),
        "cell_types": Chart(
            "95 % intervals cover the truth, 3 cell types", large, 0.5, 1.0, in_types, (0.93, 0.97)
        ),
        "claims": Chart("false claims to beat the reference", few, 0.0, 0.2, claimed, (0.06,)),
        "power": Chart(
            "a better model is shown to be better", effects, 0.0, 1.0, shown, axis=POWER_AXIS
        ),
    }
