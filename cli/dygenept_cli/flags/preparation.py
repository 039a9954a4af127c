"""Options of ``dygenept data prepare``: its steps, each off unless it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dygenept_cli.flags.cells import ReadingFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.data.prepare.documents import TargetShares
    from dygenept.data.prepare.pipeline import Prepared
    from dygenept.runs.prepare import FoldChoice, PrepareRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFlags:
    """The steps of a preparation."""

    output: Path = flag("Ready file to write, .h5ad.", default=..., metavar="FILE")
    min_counts: float = flag("Least total of a cell.", default=0.0, min=0.0)
    min_genes: int = flag("Fewest genes with a value in a cell.", default=0, min=0)
    max_mito: float | None = flag("Largest share of a cell's total in MT- genes.", min=0.0, max=1.0)
    min_cells: int = flag(
        "Fewest cells with a value of a gene (control and train cells, with --variable or --fold).",
        default=0,
        min=0,
    )
    min_cells_per_perturbation: int = flag(
        "Leave out perturbations with fewer cells.", default=0, min=0
    )
    target_sum: float | None = flag(
        "Total of a cell with --normalize [default: the median of the kept cells].", min=1.0
    )
    variable: int | None = flag(
        "Keep N variable genes, chosen on control cells (and, with --fold, train cells) [default: "
        "all genes].",
        metavar="N",
        min=1,
    )
    keep_targets: bool = flag(
        "Keep target genes as well.", "--keep-targets/--no-keep-targets", default=True
    )
    fold: int | None = flag(
        "The train cells of fold K (from 1) choose variable genes, beside controls; they suit that "
        "fold alone.",
        metavar="K",
        min=1,
    )
    split: str = flag("Split of --fold.", default="kfold", metavar="NAME|FILE")
    folds: int = flag("Folds of --split.", default=5, min=1)
    seed: int = flag("Seed of the split and the page.", default=42, min=0)
    batches: Literal["none", "controls", "scale"] = flag(
        "Keep batches, so that controls are matched by them; scale batch effects away; or leave "
        "batches out.",
        default="none",
    )
    modality: str = flag(
        "How cells were perturbed, such as CRISPRi or CRISPRa: checks that targets move so "
        "[default: the registry's].",
        default="",
    )
    permutations: int = flag("Permutations of the test of strength.", default=199, min=0)
    page: bool = flag("Write the page.", "--page/--no-page", default=True)

    def request(
        self, name: str, reading: ReadingFlags, check: Callable[[Path], None]
    ) -> PrepareRequest:
        """Return the request; outputs that cannot be written are refused now."""
        from dygenept.data.prepare.options import PrepareOptions, known_modality
        from dygenept.runs.prepare import PrepareRequest

        request = PrepareRequest(
            dataset=name,
            output=self.output,
            options=PrepareOptions(
                mapping=reading.mapping(),
                normalize=reading.normalize,
                target_sum=self.target_sum,
                min_counts=self.min_counts,
                min_genes=self.min_genes,
                max_mito=self.max_mito,
                min_cells=self.min_cells,
                min_cells_per_perturbation=self.min_cells_per_perturbation,
                n_variable=self.variable,
                keeps_targets=self.keep_targets,
                batches=self.batches,
                modality=known_modality(self.modality) or self.modality,
                permutations=self.permutations,
                seed=self.seed,
            ),
            fold=self._fold(),
            writes_page=self.page,
        )
        for path in (request.output, request.manifest, request.labels, request.page):
            check(path)
        return request

    def said(self, made: Prepared) -> Iterator[str]:
        """Say what was kept and found, one line each."""
        manifest = made.manifest
        for what, part in (("cells", manifest["cells"]), ("genes", manifest["genes"])):
            yield f"{what}: {part['kept']:,} of {part['in']:,} kept"
        for reason, n in manifest["left_out"].items():
            if n:
                yield f"left out, {reason.replace('_', ' ')}: {n:,}"
        if chosen := manifest["variable_genes"]:
            yield f"variable genes were chosen on {chosen['n_cells']:,} {chosen['cells']} cells"
            if chosen["train_labels"] is not None:
                labels = made.path.with_suffix(".split.json")
                yield (
                    "they suit that fold alone: "
                    f"dygenept bench --dataset {made.path} --split {labels}"
                )
        if targets := manifest["targets"]:
            yield _targets(targets)
        yield from (f"note: {line}" for line in manifest["notes"])

    def _fold(self) -> FoldChoice | None:
        from dygenept.runs.prepare import FoldChoice

        if self.fold is None:
            return None
        is_file = self.split.endswith(".json")
        return FoldChoice(
            split="manifest" if is_file else self.split,
            options={"path": self.split} if is_file else {},
            n_folds=self.folds,
            fold=self.fold - 1,
            seed=self.seed,
        )


def _targets(targets: TargetShares) -> str:
    n = targets["n_perturbations"]
    if not n:
        return "targets were not checked: no single perturbation's target is among the genes"
    moved, significant = (
        round((share or 0.0) * n)
        for share in (targets["share_as_expected"], targets["share_significant"])
    )
    return (
        f"targets go {targets['expected']}: {moved:,} of {n:,} that were measured, "
        f"{significant:,} significantly"
    )
