"""What a benchmark gives back to Python: records as tables, comparisons and pages."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ResultsError
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.columns import leading_first, number
from dygenept.leaderboard.comparisons import compare_models
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.machine.whole_files import write_whole
from dygenept.reports.finding import finding
from dygenept.reports.page import html_page, page_board
from dygenept.reports.per_perturbation import score_table
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.runs.runner import BenchOutcome
from dygenept.types.data import html_table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from matplotlib.figure import Figure


class BenchResult:
    """Records of one data set under one split, one per model and fold.

    Attributes:
        records: The records.
        failures: The reason of each job that failed, by ``model, fold n``.
        results: Folder that the records and predictions are in.
    """

    def __init__(self, outcome: BenchOutcome, results: Path, *, is_temporary: bool = False) -> None:
        """Keep what a run left.

        Args:
            outcome: Records and failures.
            results: The results folder.
            is_temporary: The folder vanishes with this object.
        """
        self.records: tuple[RunRecord, ...] = outcome.records
        self.failures: Mapping[str, str] = outcome.failures
        self.results = results
        if is_temporary:
            weakref.finalize(self, shutil.rmtree, results, ignore_errors=True)

    def leaderboard(self, metric: str | None = None) -> pl.DataFrame:
        """Return the leaderboard, one row per model and metric, by metric and rank.

        The columns are those of ``dygenept bench --json``. ``.to_pandas()`` of the table gives a
        pandas one where pyarrow is installed; ``BenchResult.to_pandas`` always does.

        Args:
            metric: Only this metric; None for all.
        """
        import polars as pl

        rows = leaderboard_rows(self._finished())
        documents = [row.document() for row in rows if metric in (None, row.metric)]
        return pl.DataFrame(documents, infer_schema_length=None)

    def to_pandas(self, metric: str | None = None) -> pd.DataFrame:
        """Return ``leaderboard`` as a pandas table."""
        import pandas as pd

        return pd.DataFrame(self.leaderboard(metric).to_dicts())

    def per_perturbation(self, metric: str | None = None) -> pl.DataFrame:
        """Return every score, one row per model, metric and held-out perturbation.

        Columns: ``model``, ``fold`` (from 1), ``metric``, ``perturbation``, ``cell_type``,
        ``value`` (null where undefined) and ``reason`` (why it is).

        Args:
            metric: Only this metric; None for all.
        """
        return score_table(self.records, metrics=() if metric is None else (metric,))

    def compare(self, model: str, *others: str, metrics: Sequence[str] = ()) -> pl.DataFrame:
        """Compare one model with others, paired over the same perturbations.

        Args:
            model: Shown name of the first model.
            others: Shown names; ``difference`` is ``model`` minus the other.
            metrics: Metrics to compare under; empty takes all.

        Raises:
            ConfigError: If a model has no result here.
        """
        import polars as pl

        rows = compare_models(self._finished(), (model, *others), metrics=metrics)
        return pl.DataFrame([row.document() for row in rows], infer_schema_length=None)

    def save_html(self, path: str | Path) -> Path:
        """Write the leaderboard as one HTML page that needs no network, and return its path."""
        target = Path(path)
        board = leaderboard_of(self._finished())
        shown = page_board(board, self.records, results=ResultsStore(self.results))
        write_whole(target, html_page([shown]).encode())
        return target

    def plot(
        self,
        kind: str = "forest",
        path: str | Path | None = None,
        *,
        metric: str | None = None,
        models: Sequence[str] = (),
        perturbation: str | None = None,
    ) -> Figure:
        """Plot the results, as a figure that a notebook shows (needs the extra ``plot``).

        Args:
            kind: ``forest``, ``strips``, ``paired``, ``changes``, ``calibration``,
                ``saturation``, ``time`` or ``memory``.
            path: File to write too: .svg, .png or .pdf.
            metric: Metric; None for the leading one.
            models: Shown names, for ``strips``, ``paired`` (two) and ``changes`` (one).
            perturbation: Label, for ``changes``.

        Raises:
            ConfigError: If a name is unknown, or one is missing.
            DataUnavailableError: If matplotlib is not installed.
        """
        from dygenept.reports.plots.kinds import PlotRequest, plot_results
        from dygenept.reports.plots.style import write_plot

        request = PlotRequest(kind, metric, tuple(models), perturbation)
        made = plot_results(self._finished(), request, ResultsStore(self.results))
        if path is not None:
            write_plot(made, Path(path))
        return made

    def _finished(self) -> tuple[RunRecord, ...]:
        """Return the records, or say why there is none."""
        if not self.records:
            job, reason = next(iter(self.failures.items()), ("no job", "nothing was run"))
            raise ResultsError(
                f"no job finished, so there is nothing to show; {job}: {reason}"
                + (f" ({len(self.failures)} failed)" if len(self.failures) > 1 else "")
            )
        return self.records

    def __repr__(self) -> str:
        """Say what was run, for a console."""
        models = dict.fromkeys(record.model for record in self.records)
        folds = {record.fold for record in self.records}
        failed = f", {len(self.failures)} failed (see .failures)" if self.failures else ""
        return f"BenchResult({len(models)} models, {len(folds)} folds{failed}: {', '.join(models)})"

    def _repr_html_(self) -> str:
        """Show the leaderboard in a notebook, one row per model, the first metric first."""
        if not self.records:
            return html_table("no job finished", self.failures.items(), head=("job", "reason"))
        board = leaderboard_of(self.records)
        metrics = leading_first(board.overall.rows, fixed=board.fixed_lead)
        rows = board.overall.rows
        cells = {
            (row.model, row.metric): f"{number(row.total.pooled)} {row.marks}".strip()
            for row in rows
        }
        first = self.records[0]
        simulated = "SIMULATED DATA · " if first.dataset.simulated else ""
        shown = [
            (
                row.model,
                number(row.place),
                cells[row.model, row.metric],
                f"[{number(row.total.ci_low)}, {number(row.total.ci_high)}]",
                *(cells.get((row.model, metric), number(None)) for metric in metrics[1:]),
            )
            for row in rows
            if row.metric == metrics[0]
        ]
        title = f"{simulated}{first.dataset.name}, {len({r.fold for r in self.records})} folds"
        if found := finding(board):
            title += f". {found}"
        head = ("model", "rank", metrics[0], "95 % interval", *metrics[1:])
        failed = ""
        if self.failures:
            said = f"{len(self.failures)} job(s) failed"
            failed = html_table(said, self.failures.items(), head=("job", "reason"))
        return html_table(title, shown, head=head) + failed
