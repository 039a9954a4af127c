"""The draws of cell-gears 0.1.2's ``DataSplitter``, on raw labels in order of appearance.

GEARS seeds numpy's legacy global generator. A local ``RandomState`` with the same seed gives the
same numbers, so each draw here is made in GEARS' order, re-seeded where GEARS re-seeds, and from
candidates in the order that GEARS would hold them.
Source: Roohani et al. 2024, doi:10.1038/s41587-023-01905-6; behaviour of cell-gears 0.1.2 (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dygenept.plugin import SplitError
from dygenept.types import CONTROL_LABEL

GENE_FRACTION = 0.75
COMBO_FRACTION = 0.75
VAL_GENE_FRACTION = 0.9
VAL_COMBO_FRACTION = 0.9
HELD_OUT_FRACTION = 0.1


@dataclass(frozen=True, slots=True)
class RawSplit:
    """A split of raw labels; a label that GEARS drops is in no part."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Cut:
    kept: tuple[str, ...]
    held_out: tuple[str, ...]
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def simulation(labels: Sequence[str], seed: int) -> RawSplit:
    """Hold out a quarter of the genes and a quarter of the combinations of seen genes."""
    outer = _cut_genes(labels, seed, genes=GENE_FRACTION, combos=COMBO_FRACTION)
    inner = _cut_genes(outer.kept, seed, genes=VAL_GENE_FRACTION, combos=VAL_COMBO_FRACTION)
    return RawSplit(inner.kept, inner.held_out, outer.held_out, outer.subgroups)


def simulation_single(labels: Sequence[str], seed: int) -> RawSplit:
    """Hold out a quarter of the genes of single perturbations.

    Raises:
        SplitError: If there is a combination; GEARS stops there too.
    """
    combos = [label for label in labels if not _is_single(label)]
    if combos:
        raise SplitError(
            f"gears_simulation_single needs data with only single perturbations, but there are "
            f"{len(combos)} combinations such as {combos[0]!r}; use --split gears_simulation"
        )
    outer = _cut_singles(labels, seed, genes=GENE_FRACTION)
    inner = _cut_singles(outer.kept, seed, genes=VAL_GENE_FRACTION)
    return RawSplit(inner.kept, inner.held_out, outer.held_out, outer.subgroups)


def combo(labels: Sequence[str], seed: int, *, n_seen: int) -> RawSplit:
    """Hold out combinations with ``n_seen`` of two genes seen (0, 1 or 2)."""
    rng = np.random.RandomState(seed)
    outer = _cut_combos(labels, rng, n_seen=n_seen)
    inner = _cut_combos(outer.kept, rng, n_seen=n_seen)
    return RawSplit(inner.kept, inner.held_out, outer.held_out)


def single(labels: Sequence[str], seed: int) -> RawSplit:
    """Hold out the singles of a tenth of the genes, and drop the combinations with them."""
    rng = np.random.RandomState(seed)
    outer = _cut_single_genes(labels, rng)
    inner = _cut_single_genes(outer.kept, rng)
    return RawSplit(inner.kept, inner.held_out, outer.held_out)


def no_test(labels: Sequence[str], seed: int) -> RawSplit:
    """Hold out a tenth of the labels for validation and nothing for test."""
    rng = np.random.RandomState(seed)
    # GEARS draws test genes first and does not use them; the draw moves the generator.
    _draw_test_genes(labels, rng)
    val = _draw(labels, int(len(labels) * HELD_OUT_FRACTION), rng)
    return RawSplit(_without(labels, val), val, ())


def _cut_genes(labels: Sequence[str], seed: int, *, genes: float, combos: float) -> _Cut:
    every_gene = _genes(labels)
    rng = np.random.RandomState(seed)
    n_seen = int(len(every_gene) * genes)
    seen = set(_draw(every_gene, n_seen, rng, replace=False))
    counts = {label: sum(gene in seen for gene in _genes_of(label)) for label in labels}
    in_order = [label for label in labels if not _is_single(label)]
    pool = sorted({label for label in in_order if counts[label] > 1})
    rng = np.random.RandomState(seed)
    kept_combos = _draw(pool, int(len(pool) * combos), rng, replace=False)
    subgroups = {
        "combo_seen0": tuple(label for label in in_order if counts[label] == 0),
        "combo_seen1": tuple(label for label in in_order if counts[label] == 1),
        "combo_seen2": _without(pool, kept_combos),
        "unseen_single": tuple(x for x in labels if _is_single(x) and counts[x] == 0),
    }
    singles = tuple(label for label in labels if _is_single(label) and counts[label])
    held_out = tuple(label for members in subgroups.values() for label in members)
    return _Cut(singles + kept_combos, held_out, subgroups)


def _cut_singles(labels: Sequence[str], seed: int, *, genes: float) -> _Cut:
    every_gene = _genes(labels)
    rng = np.random.RandomState(seed)
    seen = set(_draw(every_gene, int(len(every_gene) * genes), rng, replace=False))
    kept = tuple(label for label in labels if _genes_of(label)[0] in seen)
    held_out = _without(labels, kept)
    return _Cut(kept, held_out, {"unseen_single": held_out})


def _cut_combos(labels: Sequence[str], rng: np.random.RandomState, *, n_seen: int) -> _Cut:
    test_genes = set(_draw_test_genes(labels, rng))
    combos = [label for label in labels if not _is_single(label)]
    if n_seen == 2:
        held_out = _draw(combos, int(len(combos) * HELD_OUT_FRACTION), rng)
        return _Cut(_without(labels, held_out), held_out)
    touched = [label for label in combos if test_genes & set(_genes_of(label))]
    # With more genes seen than the protocol allows, a combination belongs to no part.
    dropped = [x for x in touched if len(set(_genes_of(x)) - test_genes) > n_seen]
    singles = [x for x in labels if _is_single(x) and test_genes & set(_genes_of(x))]
    held_out = (*singles, *_without(touched, dropped))
    return _Cut(_without(labels, (*held_out, *dropped)), held_out)


def _cut_single_genes(labels: Sequence[str], rng: np.random.RandomState) -> _Cut:
    test_genes = set(_draw_test_genes(labels, rng))
    touched = [label for label in labels if test_genes & set(_genes_of(label))]
    held_out = tuple(label for label in touched if _is_single(label))
    return _Cut(_without(labels, touched), held_out)


def _draw_test_genes(labels: Sequence[str], rng: np.random.RandomState) -> tuple[str, ...]:
    n_singles = sum(_is_single(label) for label in labels)
    return _draw(_genes(labels), int(n_singles * HELD_OUT_FRACTION), rng)


def _draw(
    items: Sequence[str], size: int, rng: np.random.RandomState, *, replace: bool = True
) -> tuple[str, ...]:
    """Draw items; with replacement, as in GEARS' own call, an item may come up twice."""
    if size == 0:
        return ()
    drawn = rng.choice(len(items), size, replace=replace)
    return tuple(dict.fromkeys(items[int(position)] for position in drawn))


def _without(labels: Sequence[str], removed: Sequence[str]) -> tuple[str, ...]:
    gone = set(removed)
    return tuple(label for label in labels if label not in gone)


def _genes(labels: Sequence[str]) -> list[str]:
    return sorted({gene for label in labels for gene in _genes_of(label)})


def _genes_of(label: str) -> list[str]:
    return [gene for gene in label.split("+") if gene != CONTROL_LABEL]


def _is_single(label: str) -> bool:
    return CONTROL_LABEL in label.split("+")
