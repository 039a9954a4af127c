"""K-fold cross-validation over perturbations.

Labels are sorted, so the folds depend on the set of labels and the seed, never on cell order.
Source: LangPert (Märtens et al. 2025), whose protocol is scikit-learn's shuffled KFold.
Licence: loads the shipped gene tables only with ``require_gene_in``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from dygenept.evaluation.held_out import shuffled_parts, subgroups, validation_positions
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
from dygenept.types import Fold, Perturbation, PerturbationData


class KfoldConfig(PluginConfig):
    """Options of ``kfold``.

    Attributes:
        val_fraction: Share of each fold's training labels that is held out for validation.
        require_gene_in: ``go`` keeps perturbations whose genes all have a GO annotation, which
            changes the population (K562: 1,092 to 1,086 with the shipped tables, 1,087 with
            GEARS' gene2go); None keeps all.
        hold_out: ``combinations`` cuts the perturbations of several genes into folds and keeps
            every single one in train; ``all`` cuts all of them.
    """

    val_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)
    require_gene_in: Literal["go"] | None = None
    hold_out: Literal["all", "combinations"] = "all"


class Kfold:
    """Cuts sorted labels as ``sklearn.model_selection.KFold(shuffle=True)`` does, to the label."""

    def __init__(self, config: KfoldConfig) -> None:
        self._config = config

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds.

        Validation labels are drawn from each fold's training labels, seeded by (seed, fold);
        see ``validation_positions``.

        Raises:
            SplitError: If there are fewer perturbations to cut than folds.
        """
        population = list(data.perturbations)
        if self._config.require_gene_in == "go":
            population = _annotated(population)
        always: list[Perturbation] = []
        if self._config.hold_out == "combinations":
            always = [item for item in population if len(item.genes) == 1]
            population = [item for item in population if len(item.genes) > 1]
        n_labels = len(population)
        if n_folds < 2:
            raise SplitError(f"kfold needs at least 2 folds, got {n_folds}; pass --folds 2 or more")
        if n_folds > n_labels:
            mend = f"pass --folds {n_labels} or fewer" if n_labels > 1 else "it takes 2 or more"
            raise SplitError(
                f"kfold cannot cut {n_labels} {self._what}(s) of {data.name!r} into {n_folds} "
                f"folds: a fold would be empty; {mend}"
            )
        population.sort(key=lambda perturbation: perturbation.label)
        parts = shuffled_parts(n_labels, n_folds, seed=seed)
        return tuple(
            self._fold(
                [population[i] for i in sorted(set(range(n_labels)) - set(test))],
                [population[i] for i in test],
                always=always,
                seed=[seed, number],
            )
            for number, test in enumerate(parts)
        )

    @property
    def _what(self) -> str:
        return "combination" if self._config.hold_out == "combinations" else "perturbation"

    def _fold(
        self,
        known: Sequence[Perturbation],
        test: Sequence[Perturbation],
        *,
        always: Sequence[Perturbation],
        seed: Sequence[int],
    ) -> Fold:
        # Validation is drawn only from what is cut, so that it asks what the test asks.
        drawn = validation_positions(len(known), fraction=self._config.val_fraction, seed=seed)
        val = {known[position].label for position in drawn}
        train = [item.label for item in (*known, *always) if item.label not in val]
        return Fold(
            train=tuple(sorted(train)),
            val=tuple(item.label for item in known if item.label in val),
            test=tuple(item.label for item in test),
            subgroups=subgroups((*known, *always), test),
        )


def _annotated(population: Sequence[Perturbation]) -> list[Perturbation]:
    from dygenept.knowledge.genes.tables import load_gene_tables

    tables = load_gene_tables()

    def has_terms(gene: str) -> bool:
        symbol = tables.resolve(gene)
        return symbol is not None and bool(tables.terms_of(symbol))

    return [item for item in population if all(has_terms(gene) for gene in item.genes)]


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="kfold",
            summary="Shuffled k-fold over all perturbations (the LangPert protocol).",
            source="Märtens et al. 2025 (LangPert); scikit-learn KFold",
            config=KfoldConfig,
            factory=Kfold,
        )
    ]
