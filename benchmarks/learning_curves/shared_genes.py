"""Would a rule for each gene predict better than one for the whole screen what train genes keep?

Where no gene is perturbed in two train perturbations, ``dygenept_small`` reads no codes in its
closed-form start, and lets each train gene keep what was measured of it at the end. One gene in two
perturbations switches that off. The rule for each gene reads, in the start, the codes of genes in
several perturbations alone, and lets all train genes keep at the end what that leaves.

    OMP_NUM_THREADS=1 python benchmarks/learning_curves/shared_genes.py DATASET [COMBINATIONS …]

takes a data set, of which it reads the first cell type, and how many combinations are among the
train perturbations. Both rules see the same draws: four fifths of the single perturbations and so
many combinations. Codes are random, and orthogonal as far as the 128 directions of the model go;
features are their sums, and all else is the code of the model. Printed are mean squared errors, in
thousandths, and cosines of the other perturbations, by how many of their genes training has seen.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

from dygenept.data.pseudobulk import pseudobulk
from dygenept.model.start.left_out import Spectrum, Targets
from dygenept.model.start.readout import PENALTIES, Readout, ReadoutChoice
from dygenept.model.start.typical import Rows
from dygenept.runs.api import load_dataset
from dygenept.types import DoubleArray, PerturbationData

N_DIRECTIONS = 128
N_DRAWS = 6
COMBINATIONS = (0, 1, 3, 10, 30)
# Of float32, as in ``dygenept.model.start.measured``.
ROUNDING = 1e-4

Genes = tuple[str, ...]


class Codes:
    """A code for each gene, orthogonal to those of all others as far as there are directions."""

    def __init__(self, genes: Sequence[str], rng: np.random.Generator) -> None:
        """Draw the codes; the first genes have orthogonal ones."""
        drawn = rng.standard_normal((len(genes), N_DIRECTIONS))
        n = min(len(genes), N_DIRECTIONS - 1)
        drawn[:n] = np.linalg.qr(drawn[:n].T)[0].T
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        self._of = dict(zip(genes, drawn, strict=True))
        self.shared = np.append(np.zeros(N_DIRECTIONS), np.sqrt(0.5))

    def features(self, conditions: Sequence[Genes], read: set[str]) -> DoubleArray:
        """Add up the codes that are read, with what all share in a direction of its own."""
        found = np.tile(self.shared, (len(conditions), 1))
        for row, genes in enumerate(conditions):
            for gene in read.intersection(genes):
                found[row, :-1] += self._of[gene]
        return found


def changes(data: PerturbationData) -> tuple[list[Genes], DoubleArray]:
    """Return the genes and mean change of each perturbation in the first cell type."""
    means = pseudobulk(data)
    first = data.cell_types[0]
    rows = [row for row, of in enumerate(data.conditions) if of.cell_type == first]
    genes = [tuple(data.conditions[row].genes) for row in rows]
    return genes, means.means[rows] - means.control_means[0]


def predicted(
    train: Sequence[Genes], deltas: DoubleArray, asked: Sequence[Genes], codes: Codes, *, each: bool
) -> DoubleArray:
    """Predict changes, by the rule for each gene or by that for the whole screen."""
    times = Counter(gene for genes in train for gene in genes)
    several = {gene for gene, n in times.items() if n > 1}
    every = {gene for genes in (*train, *asked) for gene in genes}
    if several and not each:
        readout = fitted(train, deltas, codes, every)
        return readout.predict(codes.features(asked, every), np.zeros(len(asked), dtype=np.int64))
    readout = fitted(train, deltas, codes, several)
    unread = codes.features(train, several)
    left = deltas - readout.predict(unread, np.zeros(len(train), dtype=np.int64))
    _, sizes, directions = np.linalg.svd(unread, full_matrices=False)
    shared = directions[sizes > ROUNDING * sizes[0]]

    def across(conditions: Sequence[Genes]) -> DoubleArray:
        features = codes.features(conditions, set(times))
        found: DoubleArray = features - (features @ shared.T) @ shared
        return found

    spectrum = Spectrum.of(across(train), Rows.single(len(train)))
    gain = 1 / (spectrum.values + min(PENALTIES) * spectrum.scale)
    weights = (across(train).T @ (spectrum.vectors * gain)) @ (spectrum.vectors.T @ left)
    start = readout.predict(codes.features(asked, several), np.zeros(len(asked), dtype=np.int64))
    return start + across(asked) @ weights


def fitted(train: Sequence[Genes], deltas: DoubleArray, codes: Codes, read: set[str]) -> Readout:
    """Fit typical change and ridge regression, its penalty by left-out errors."""
    targets = Targets.of(deltas, Rows.single(len(train)))
    return ReadoutChoice.of(codes.features(train, read), targets, codes.shared).solved()


def compare(genes: Sequence[Genes], deltas: DoubleArray, n_combined: int) -> list[str]:
    """Compare the rules on draws with so many combinations in training; return lines."""
    singles = [row for row, of in enumerate(genes) if len(of) == 1]
    combined = [row for row, of in enumerate(genes) if len(of) > 1]
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for draw in range(N_DRAWS):
        rng = np.random.default_rng([draw, n_combined])
        drawn, others = rng.permutation(singles), rng.permutation(combined)
        n_out = max(2, len(singles) // 5)
        train = [*drawn[n_out:].tolist(), *others[:n_combined].tolist()]
        asked = [row for row in range(len(genes)) if row not in train]
        seen = {gene for row in train for gene in genes[row]}
        order = sorted(seen) + sorted({gene for of in genes for gene in of} - seen)
        codes = Codes(order, rng)
        kinds = [f"{len(seen.intersection(genes[row]))} of {len(genes[row])}" for row in asked]
        for each in (False, True):
            given = ([genes[row] for row in train], deltas[train], [genes[row] for row in asked])
            changed = predicted(*given, codes, each=each)
            true = deltas[asked]
            errors = np.square(changed - true).mean(axis=1)
            sizes = np.linalg.norm(changed, axis=1) * np.linalg.norm(true, axis=1)
            cosines = (changed * true).sum(axis=1) / np.maximum(sizes, 1e-12)
            for kind in set(kinds):
                at = [row for row, of in enumerate(kinds) if of == kind]
                scores = (1e3 * float(errors[at].mean()), float(cosines[at].mean()))
                found.setdefault((kind, each), []).append(scores)
    lines = []
    for kind in sorted({kind for kind, _ in found}):
        of = [np.mean(found[kind, each], axis=0) for each in (False, True)]
        figures = " ".join(f"{error:8.3f} {cosine:6.3f}" for error, cosine in of)
        lines.append(f"{n_combined:3d} combinations, {kind} genes seen: {figures}")
    return lines


def main(arguments: Sequence[str]) -> None:
    """Print a line for each number of combinations and kind of perturbation."""
    genes, deltas = changes(load_dataset(arguments[0]))
    sys.stdout.write("error and cosine of the rule as it is, then of the rule for each gene\n")
    for n_combined in [int(text) for text in arguments[1:]] or COMBINATIONS:
        for line in compare(genes, deltas, n_combined):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
