"""Draw the figures of docs/benchmarks.md.

    python benchmarks/learning_curves/figures.py curves STUDY.json FIGURE.svg
    python benchmarks/learning_curves/figures.py contributions RESULTS … FIGURE.svg

The first draws what ``study.py`` wrote, the second what the parts of ``dygenept_small`` contribute
according to the records of results folders. The extra ``plot`` is needed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from contributions import contributions_of, plot_contributions
from planted_subsets import EFFECTS

from dygenept.reports.plots.learning import LearningPoint, plot_learning
from dygenept.reports.plots.style import write_plot
from dygenept.results.store import ResultsStore

MODEL = "dygenept_small"


def draw_curves(study: Path, figure: Path, without: Sequence[str] = (), most: int = 0) -> None:
    """Draw the learning curves of one study.

    Args:
        study: What ``study.py`` wrote.
        figure: File to write.
        without: Models to leave out, such as those measured at few sizes.
        most: Splits to draw at most, the first ones; 0 for all.
    """
    document = json.loads(study.read_text(encoding="utf-8"))
    found: dict[str, dict[int, list[float]]] = {}
    seeds = list(dict.fromkeys(row["seed"] for row in document["rows"]))[: most or None]
    for row in document["rows"]:
        if row["model"] in without or row["seed"] not in seeds:
            continue
        found.setdefault(row["model"], {}).setdefault(row["n"], []).append(row["score"])
    curves = {
        model: [
            LearningPoint(
                n_train=size,
                mean=fmean(scores),
                std=stdev(scores) if len(scores) > 1 else None,
                n_folds=len(scores),
            )
            for size, scores in sorted(of.items())
        ]
        for model, of in found.items()
    }
    name = Path(document["dataset"]).name
    if document["scale"] is not None:
        name += f"@{document['scale']:g}"
    if document["perturbations"] is not None:
        name += f", {document['perturbations']:,} perturbations"
    if document["effects"] is not None:
        name += f", {EFFECTS[document['effects']].name}"
    made = plot_learning(
        curves,
        document["metric"],
        dataset=name,
        is_simulated=document["simulated"],
    )
    write_plot(made, figure)


def draw_contributions(folders: list[Path], figure: Path) -> None:
    """Draw what the parts of the model contribute on the data sets of results folders."""
    records = [record for folder in folders for record in ResultsStore(folder).records()]
    of_model = [record for record in records if record.model == MODEL]
    is_simulated = any(record.dataset.simulated for record in of_model)
    made = plot_contributions(contributions_of(records, MODEL), MODEL, is_simulated=is_simulated)
    write_plot(made, figure)


def main() -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=("curves", "contributions"))
    parser.add_argument("read", type=Path, nargs="+", help="study, or results folders")
    parser.add_argument("figure", type=Path, help="SVG, PNG or PDF to write")
    parser.add_argument("--without", nargs="+", default=(), help="models to leave out of curves")
    parser.add_argument("--splits", type=int, default=0, help="splits to draw at most")
    given = parser.parse_args()
    if given.what == "curves":
        draw_curves(given.read[0], given.figure, given.without, given.splits)
    else:
        draw_contributions(given.read, given.figure)


if __name__ == "__main__":
    main()
