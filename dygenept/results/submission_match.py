"""Matches submitted predictions to a data set, whatever their order and spelling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.data.reading.label_kinds import is_missing, is_unassigned
from dygenept.data.reading.labels import LabelRules, apply_rules, parse_labels, parts_of
from dygenept.errors import DataError, nearest
from dygenept.evaluation.reference import train_view
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.results.submission import Submission
from dygenept.types import Condition, DoubleArray, PerturbationData, Predictions, Task

RowKey = tuple[tuple[str, ...], str | None, int | None]
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What a file lacks, and what it has beyond the data set.

    Attributes:
        missing_perturbations: Held-out labels without a prediction.
        unknown_perturbations: Labels of the file that the data set does not have.
        missing_genes: Genes of the data set that the file does not have.
        unknown_genes: Columns of the file that are not genes of the data set.
        n_missing_values: Further values that the file does not give.
    """

    missing_perturbations: tuple[str, ...]
    unknown_perturbations: tuple[str, ...]
    missing_genes: tuple[str, ...]
    unknown_genes: tuple[str, ...]
    n_missing_values: int

    def lacks(self) -> tuple[str, ...]:
        """Say what would have to be filled in, one phrase each."""
        said = []
        if self.missing_perturbations:
            said.append(f"held-out perturbation(s): {listed(self.missing_perturbations)}")
        if self.missing_genes:
            said.append(f"gene(s): {listed(self.missing_genes)}")
        if self.n_missing_values:
            said.append(f"{self.n_missing_values:,} single value(s)")
        return tuple(said)

    def ignored(self) -> tuple[str, ...]:
        """Say what of the file was not used, one sentence each."""
        said = []
        if self.unknown_perturbations:
            said.append(
                f"perturbation(s) that the data set does not have were passed over: "
                f"{listed(self.unknown_perturbations)}"
            )
        if self.unknown_genes:
            said.append(
                f"gene(s) that the data set does not have were passed over: "
                f"{listed(self.unknown_genes)}"
            )
        return tuple(said)


class MatchedSubmission:
    """A submission whose rows and columns are found by a data set's own names."""

    def __init__(
        self, submission: Submission, data: PerturbationData, *, in_all_types: bool = False
    ) -> None:
        """Find each row's perturbation and each gene's column.

        Args:
            submission: The rows.
            data: The data set.
            in_all_types: Rows of a file without cell types hold in all that the data set has.

        Raises:
            DataError: If a cell type is unknown, or not given where there are several, a prediction
                is given twice, or no gene or no perturbation is one of the data set's.
        """
        if submission.cell_types is None and len(data.cell_types) > 1 and not in_all_types:
            raise DataError(
                f"the file names no cell type, but {data.name!r} has "
                f"{listed(data.cell_types)}; add a column 'cell_type', or pass --all-cell-types to "
                "use each prediction in all of them"
            )
        self._submission = submission
        self._columns, self._unknown_genes = _gene_columns(submission, data)
        if not self._columns:
            raise DataError(
                f"none of the {len(submission.genes)} gene(s), such as {submission.genes[0]!r}, is "
                f"a gene of {data.name!r}, such as {data.gene_ids[0]!r} ({data.gene_symbols[0]!r})"
            )
        self._missing_genes = tuple(
            data.gene_symbols[row] for row in range(data.n_genes) if row not in self._columns
        )
        self._rows, self._unknown = _rows(submission, data)
        self.notes = submission.notes
        if not self._rows:
            raise DataError(
                f"none of the {len(submission.labels)} prediction(s), such as "
                f"{submission.labels[0]!r}, is for a perturbation of {data.name!r}, such as "
                f"{data.perturbations[0].label!r}"
            )

    def values(self) -> tuple[DoubleArray, list[int]]:
        """Return what was submitted and is used, (n, m), and the position of each gene, (m,)."""
        rows, columns = list(self._rows.values()), list(self._columns.values())
        return self._submission.values[np.ix_(rows, columns)], list(self._columns)

    def held_out(
        self, folds: Sequence[tuple[int, Sequence[Condition]]]
    ) -> tuple[DoubleArray, tuple[Condition, ...], tuple[str, ...]]:
        """Return what was submitted of what is held out, fold by fold.

        Returns:
            Values of the genes of ``values``, (n, m); the n conditions, and the fold and cell type
            of each.
        """
        found = [
            (row, condition, f"{fold} {condition.cell_type}")
            for fold, conditions in folds
            for condition in conditions
            if (row := self._row(condition, fold)) is not None
        ]
        rows = [row for row, _, _ in found]
        values = self._submission.values[np.ix_(rows, list(self._columns.values()))]
        return values, tuple(of for _, of, _ in found), tuple(of for _, _, of in found)

    def mismatch(self, held_out: Sequence[tuple[int, Sequence[Condition]]]) -> Mismatch:
        """Compare with what is held out: each fold's position, and its conditions."""
        missing: dict[str, None] = {}
        n_missing_values = 0
        columns = list(self._columns.values())
        for fold, conditions in held_out:
            for condition in conditions:
                row = self._row(condition, fold)
                if row is None:
                    missing[condition.label] = None
                else:
                    values = self._submission.values[row, columns]
                    n_missing_values += int(np.isnan(values).sum())
        return Mismatch(
            missing_perturbations=tuple(missing),
            unknown_perturbations=self._unknown,
            missing_genes=self._missing_genes,
            unknown_genes=self._unknown_genes,
            n_missing_values=n_missing_values,
        )

    def expression(self, conditions: Sequence[Condition], task: Task, fold: int) -> DoubleArray:
        """Return predicted expression, filled in where nothing was given, (n, G).

        A missing perturbation takes the mean of the train perturbations, a missing gene its
        control mean.
        """
        filled = np.empty((len(conditions), len(task.gene_ids)))
        genes, columns = list(self._columns), list(self._columns.values())
        for place, condition in enumerate(conditions):
            row = self._row(condition, fold)
            control = task.control_mean(condition.cell_type)
            if row is None:
                filled[place] = train_view(task, condition.cell_type).mean
                continue
            given = self._submission.values[row, columns]
            if self._submission.is_delta:
                given = given + control[genes]
            filled[place] = control
            filled[place, genes] = np.where(np.isnan(given), control[genes], given)
        return filled

    def _row(self, condition: Condition, fold: int) -> int | None:
        for cell_type in (condition.cell_type, None):
            for number in (fold + 1, None):
                row = self._rows.get((condition.genes, cell_type, number))
                if row is not None:
                    return row
        return None


class SubmittedModel:
    """Submitted predictions behind the model protocol; it learns nothing."""

    def __init__(self, matched: MatchedSubmission, notes: tuple[str, ...]) -> None:
        self._matched = matched
        self._task: Task | None = None
        self._fold = 0
        self.notes = notes

    def at(self, fold: int) -> SubmittedModel:
        """Choose the fold whose predictions are asked for."""
        self._fold = fold
        return self

    def fit(self, task: Task) -> None:
        """Keep the task, for what has to be filled in."""
        self._task = task

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return what was submitted, (n, G).

        Raises:
            DataError: If ``fit`` was not called.
        """
        if self._task is None:
            raise DataError("submitted predictions cannot be read before a task is known; call fit")
        expression = self._matched.expression(conditions, self._task, self._fold)
        return Predictions(tuple(conditions), expression)


def listed(names: Sequence[str]) -> str:
    """Count names and show the first few."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{len(names):,} ({', '.join(names[:SHOWN])}{more})"


def _gene_columns(
    submission: Submission, data: PerturbationData
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Find the column of each gene: by identifier, else by a symbol that only one gene has."""
    twice = [gene for gene, times in Counter(submission.genes).items() if times > 1]
    if twice:
        raise DataError(f"the file has {len(twice)} gene(s) twice, such as {twice[0]!r}; keep one")
    by_id = {gene: row for row, gene in enumerate(data.gene_ids)}
    n_symbols = Counter(data.gene_symbols)
    by_symbol = {
        symbol: row for row, symbol in enumerate(data.gene_symbols) if n_symbols[symbol] == 1
    }
    columns: dict[int, int] = {}
    unknown = []
    others = submission.alternatives or submission.genes
    for column, spellings in enumerate(zip(submission.genes, others, strict=True)):
        found = [table[name] for name in spellings for table in (by_id, by_symbol) if name in table]
        if found and found[0] not in columns:
            columns[found[0]] = column
        else:
            unknown.append(spellings[0])
    return dict(sorted(columns.items())), tuple(unknown)


def _rows(
    submission: Submission, data: PerturbationData
) -> tuple[dict[RowKey, int], tuple[str, ...]]:
    targets = _targets(submission, data)
    known = {item.genes for item in data.perturbations}
    types = submission.cell_types or (None,) * len(submission.labels)
    folds = submission.folds or (None,) * len(submission.labels)
    rows: dict[RowKey, int] = {}
    unknown: dict[str, None] = {}
    for row, (label, cell_type, fold) in enumerate(
        zip(submission.labels, types, folds, strict=True)
    ):
        genes = targets[label]
        if not genes:
            continue
        if cell_type is not None and cell_type not in data.cell_types:
            hint = nearest(cell_type, data.cell_types)
            raise DataError(f"{data.name!r} has no cell type {cell_type!r}; {hint}")
        if genes not in known:
            unknown[label] = None
            continue
        key = (genes, cell_type, fold)
        if key in rows:
            raise DataError(
                f"the file predicts {label!r} twice (as {submission.labels[rows[key]]!r} first); "
                "keep one row, or number the folds in a column 'fold'"
            )
        rows[key] = row
    return rows, tuple(unknown)


def _targets(submission: Submission, data: PerturbationData) -> dict[str, tuple[str, ...]]:
    """Return the target genes of each label as the data set spells them; none for control.

    Labels are read by the rules that the data set was read by.
    """
    names = GeneNames(data.gene_symbols, data.gene_ids)
    mapping = data.mapping
    rules = LabelRules(
        controls=mapping.control, separator=mapping.separator, guide_pattern=mapping.guide_pattern
    )
    others = [label for label in submission.labels if label not in data.raw_to_label]
    if nameless := [label for label in others if any(map(_is_nameless, parts_of(label)))]:
        raise DataError(f"the prediction(s) {listed(nameless)} name no perturbation; drop the rows")
    ruled = apply_rules(others, names, rules)
    parsed = parse_labels(tuple(ruled.values())).perturbations
    found = {label: parsed[ruled[label]] for label in others}
    named = {label: of.genes if of is not None else () for label, of in found.items()}
    by_label = {item.label: item.genes for item in data.perturbations}
    written = sorted({gene for genes in named.values() for gene in genes} - set(data.target_genes))
    spelt = names.among(data.target_genes, written) if written else {}
    known = data.raw_to_label
    return {label: by_label[known[label]] for label in submission.labels if label in known} | {
        label: tuple(sorted({spelt.get(gene, gene) for gene in genes}))
        for label, genes in named.items()
    }


def _is_nameless(part: str) -> bool:
    """True of a missing value, and of cells without a known perturbation."""
    return is_missing(part) or is_unassigned(part)
