"""``dygenept leaderboard``: tables from any folder of results."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dygenept.errors import ConfigError, nearest
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.options import ResultsFlags
from dygenept_cli.flags.records import flag
from dygenept_cli.views.boards import FORMATS

# Files that scores of single perturbations are written to.
SCORE_FILES = (".csv", ".tsv", ".json", ".parquet")

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dygenept.results.records import RunRecord
    from dygenept_cli.views.boards import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatFlags:
    """How leaderboards are written, and where."""

    panel: ClassVar[str] = "What is shown"

    format_: str = flag(f"Format: {', '.join(FORMATS)}.", default="table")
    output: Path | None = flag("File to write, - for stdout [default: stdout].", metavar="FILE")
    as_json: options.JsonOption = False
    layout: str | None = flag(
        "One row per model (wide), or per model and metric (long) [default: wide in Markdown and "
        "LaTeX, long in CSV].",
        metavar="wide|long",
    )
    per_perturbation: bool = flag(
        "Write every score, one row per model, metric and perturbation: CSV, with --json a "
        "document, or as --output FILE.csv, .json, .parquet says.",
        default=False,
    )
    cite: bool = flag(
        "Print BibTeX of the data sets, models and metrics, and no leaderboard.", default=False
    )

    def is_wide(self, chosen: Format) -> bool:
        """Say whether a format has one row per model.

        Raises:
            ConfigError: If the layout is unknown, or the format has only one.
        """
        if self.layout is None:
            return chosen in ("markdown", "latex")
        if self.layout not in ("wide", "long"):
            raise ConfigError(
                f"unknown layout {self.layout!r}; {nearest(self.layout, ('wide', 'long'))}"
            )
        if chosen not in ("markdown", "latex", "csv"):
            raise ConfigError(f"--layout is for markdown, latex and csv, not for {chosen}")
        return self.layout == "wide"

    def chosen(self) -> Format:
        """Return the format.

        Raises:
            ConfigError: If it is unknown; the nearest is named.
        """
        name = "json" if self.as_json else self.format_
        for known in FORMATS:
            if known == name:
                return known
        raise ConfigError(f"unknown format {name!r}; {nearest(name, FORMATS)}")


def leaderboard(
    *,
    wanted: ResultsFlags,
    by: str | None = flag(
        "Group the held-out perturbations: by how many of their genes training saw perturbed, by "
        "effect size (terciles), by their number of DE genes, by how much of the range simple "
        "models cover under the first metric (solved, contested, resistant, or noise), or by cell "
        "type.",
        metavar="subgroup|effect|de_genes|regime|cell_type",
    ),
    across_seeds: bool = flag(
        "Show mean and spread over results that differ only in their seed.", default=False
    ),
    all_metrics: options.AllMetricsOption = False,
    min_gap: float = flag(
        "Least share of the gap between the better one of perturbed_mean and control_mean and "
        "technical_duplicate that a model must close to beat them.",
        default=0.05,
        min=0.0,
        max=1.0,
    ),
    written: FormatFlags,
) -> None:
    """Show the leaderboards of a results folder; simulated and real data stay apart.

    Each value is pooled over all held-out perturbations. Marks: * best; ≈ cannot be told from the
    best; ! not shown to beat both perturbed_mean and control_mean (corrected over the models that
    the run declared). "gap closed" is 0 for the better one of these two and 1 for
    technical_duplicate; a model that closes less than 5 % of the gap (--min-gap) beats neither.
    """
    from dygenept.leaderboard.boards import seed_boards
    from dygenept.machine.whole_files import write_whole
    from dygenept_cli.views import boards as view

    chosen = written.chosen()
    if across_seeds and by is not None:
        raise ConfigError("--across-seeds and --by cannot be combined; leave one out")
    if written.per_perturbation and (across_seeds or by is not None):
        other = "--across-seeds" if across_seeds else "--by"
        raise ConfigError(
            f"--per-perturbation shows single scores, which {other} does not group; leave one out"
        )
    if written.per_perturbation and chosen not in ("table", "csv", "json"):
        raise ConfigError(
            f"--per-perturbation is for csv and json, not for {chosen}; leave --format out"
        )
    if written.output is not None:
        suffixes = SCORE_FILES if written.per_perturbation and chosen != "json" else ()
        console.check_output(written.output, suffixes=suffixes)
    metrics, is_wide = wanted.metrics, written.is_wide(chosen)
    with view.chosen_boards(wanted.results, dataset=wanted.dataset, metrics=metrics) as boards:
        if written.cite or written.per_perturbation:
            _write_sources_or_scores(boards, written, metrics)
            return
        # Tables appear one by one; what programs read is one document.
        is_each = written.output is None and chosen == "table" and not across_seeds
        for number, shown in enumerate([[board] for board in boards] if is_each else [boards]):
            if across_seeds:
                found = seed_boards(shown, metrics=metrics)
                text = view.written(found, chosen, metrics=metrics, all_metrics=all_metrics)
            else:
                laid = view.laid_out(shown, metrics=metrics, by=by, min_gap=min_gap)
                how = view.Shown(metrics, all_metrics, is_wide, shown, wanted.results)
                text = view.laid_out_text(laid, chosen, how)
            if written.output is None:
                sys.stdout.write(f"\n{text}" if number else text)
                sys.stdout.flush()
            else:
                write_whole(written.output, text.encode())
                console.note(f"{len(boards)} leaderboard(s) written to {written.output}")


def _write_sources_or_scores(
    boards: Sequence[Sequence[RunRecord]], written: FormatFlags, metrics: Sequence[str]
) -> None:
    """Write what boards cite, or every score of theirs."""
    from dygenept.machine.whole_files import write_whole
    from dygenept.reports.per_perturbation import score_table
    from dygenept_cli.views.boards import citations_of

    records = [record for board in boards for record in board]
    if written.cite:
        text = citations_of(records)
        if written.output is None:
            sys.stdout.write(text)
        else:
            write_whole(written.output, text.encode())
        return
    table = score_table(records, metrics=metrics, with_origin=True)
    is_json = written.chosen() == "json"
    if written.output is not None and not is_json:
        console.write_table(table, written.output)
    elif written.output is not None:
        write_whole(
            written.output,
            f"{console.json_text({'per_perturbation': table.to_dicts()})}\n".encode(),
        )
    elif is_json:
        console.print_json({"per_perturbation": table.to_dicts()})
    else:
        console.write_table(table, Path("-"))
    if written.output is not None:
        console.note(f"{len(table):,} scores written to {written.output}")
