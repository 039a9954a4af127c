"""The models whose learning curves are drawn: what gradient steps add, and the full model's regime.

``steps`` compares the closed form of ``dygenept_small`` with the same and steps. ``full`` compares
starts of ``dygenept`` and ``dygenept_large`` as they are registered, losses, learning rates and
epochs among it, but for what cannot be had offline: texts are embedded by MiniLM, no graphs fill
gaps in the texts, and instead of scGPT there is a perceptron over a control cell's expression
(none on tables). On cells an epoch of ``full`` is 25 steps, not a pass over all train cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dygenept.model.overrides import Overrides
from dygenept.types import PerturbationData

Group = Literal["steps", "full"]

STEPS_PER_EPOCH = 25
SHORT = f"training.steps_per_epoch={STEPS_PER_EPOCH}"
ALWAYS = "training.keep_steps=always"
LONG = (
    ALWAYS,
    "training.fit_on_validation=false",
    "training.patience=3",
    SHORT,
    "training.lr=1e-4",
)
RANDOM_START, BOTH_STARTS = "training.warm_start=false", "training.warm_start=auto"
CLOSED_FORM_START = "training.warm_start=true"
OWN_CODES = "gene_encoder.identity_share=auto"
# What `dygenept` is trained by on cells; on tables it has the defaults of options for tables.
AS_ON_CELLS = (
    "table.epochs=20",
    "table.patience=5",
    "table.lr=1e-4",
    "table.weight_decay=1e-5",
    "table.batch_size=64",
)
IN_ANY_CASE = "table.standard_errors=-1000"


@dataclass(frozen=True, slots=True)
class Compared:
    """A model of a study.

    Attributes:
        model: Registered name.
        sets: ``key=value`` items.
        parts: Plugin name by section.
        facets: Facet set; None leaves the model's own.
        is_long: Whether the study says how many steps are taken at most.
    """

    model: str
    sets: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    facets: str | None = None
    is_long: bool = False

    def overrides(self, steps: int) -> Overrides:
        """Return what changes the registered model.

        Args:
            steps: Most steps of models that are long.
        """
        long = (f"training.epochs={max(1, steps // STEPS_PER_EPOCH)}",) if self.is_long else ()
        kg = () if self.facets else None
        return Overrides(parts=self.parts, facets=self.facets, kg=kg, sets=(*self.sets, *long))


def _full(cell_encoder: str, starts: Mapping[str, tuple[str, ...]]) -> dict[str, Compared]:
    return {
        f"{model}, {start}": Compared(model, sets, {"cell_encoder": cell_encoder}, "go_minilm")
        for model in ("dygenept", "dygenept_large")
        for start, sets in starts.items()
    }


SMALL = "dygenept_small"
STEPS: Mapping[str, Compared] = {
    "linear_loo": Compared("linear_loo"),
    "ridge_go": Compared("ridge_go"),
    "closed form": Compared(SMALL, ("training.epochs=0",)),
    "20 steps if better": Compared(SMALL),
    "20 steps": Compared(SMALL, (ALWAYS,)),
    "up to N steps": Compared(SMALL, LONG, is_long=True),
    "random start, up to N steps": Compared(SMALL, (*LONG, RANDOM_START), is_long=True),
}
STEPS_OF_TABLES: Mapping[str, Compared] = {
    "ridge_go": Compared("ridge_go"),
    "closed form": Compared(SMALL, ("table.epochs=0",)),
    "closed form, steps if better": Compared(SMALL),
    "closed form, steps in any case": Compared(SMALL, (IN_ANY_CASE,)),
}
FULL: Mapping[str, Compared] = {
    "linear_loo": Compared("linear_loo"),
    "closed form": Compared(SMALL, ("training.epochs=0",)),
    **_full(
        "mlp",
        {
            "random start": (SHORT, RANDOM_START),
            "closed-form start": (SHORT, CLOSED_FORM_START, OWN_CODES),
            "start by validation": (SHORT, BOTH_STARTS, OWN_CODES),
        },
    ),
}
FROM_MEANS = "table.warm_start=false"
FULL_OF_TABLES: Mapping[str, Compared] = {
    "linear_loo": Compared("linear_loo_go"),
    "closed form": Compared(SMALL, ("table.epochs=0",)),
    **_full(
        "none",
        {
            "from means": (FROM_MEANS,),
            "closed-form start, steps in any case": (IN_ANY_CASE,),
            "start by validation": ("table.warm_start=auto",),
        },
    ),
    "dygenept, from means, trained as on cells": Compared(
        "dygenept", (FROM_MEANS, *AS_ON_CELLS), {"cell_encoder": "none"}, "go_minilm"
    ),
}


def models_of(data: PerturbationData, group: Group) -> Mapping[str, Compared]:
    """Return the compared models by shown name."""
    of_cells, of_tables = {
        "steps": (STEPS, STEPS_OF_TABLES),
        "full": (FULL, FULL_OF_TABLES),
    }[group]
    return of_cells if data.effects is None else of_tables
