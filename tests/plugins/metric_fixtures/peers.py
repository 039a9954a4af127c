"""Compare the metrics with the packages that defined them.

    export DYGENEPT_PEER_CELL_EVAL=…/bin/python DYGENEPT_PEER_GEARS=…/bin/python
    python -m peers                 # writes peers.json from the toy data (run in this folder)
    python -m peers FILE.h5ad       # prints the largest differences on another file

The predictions are made from the truth without a random number: 0.6 of a condition's own and 0.4
of the next one's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dygenept.data.de.lists import de_genes
from dygenept.data.de.tests import de_tests
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.predicted_cells import CellTester
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import MetricSpec
from dygenept.testing import write_toy_h5ad
from dygenept.testing.toy import ToyShape
from dygenept.types import DoubleArray, FloatArray, MetricInputs, PerturbationData, Predictions

FIXTURE = Path(__file__).with_name("peers.json")
SHAPE = ToyShape(n_singles=12, n_doubles=0, n_cells=25, n_controls=80, seed=3)
PEERS = {
    "DYGENEPT_PEER_CELL_EVAL": "peer_cell_eval.py",
    "DYGENEPT_PEER_GEARS": "peer_gears.py",
}


def peer_inputs(data: PerturbationData) -> MetricInputs:
    """Lay predictions of all conditions beside the truth, every cell at hand."""
    means = pseudobulk(data)
    types = [data.cell_types.index(condition.cell_type) for condition in data.conditions]
    truth = means.means
    cells = predicted_cells(data, truth, means.control_means[types])
    tester = CellTester(data)
    return MetricInputs(
        conditions=data.conditions,
        predicted=0.6 * truth + 0.4 * np.roll(truth, -1, axis=0),
        truth=truth,
        control=means.control_means[types],
        perturbed_mean=np.broadcast_to(truth.mean(axis=0), truth.shape),
        de_indices=de_genes(data, means).indices,
        gene_symbols=data.gene_symbols,
        de_tests=de_tests(data, means),
        cells=cell_samples(data, means, seed=0, max_cells=data.n_cells),
        predicted_cells=tester(Predictions(data.conditions, truth, cells=tuple(cells))),
    )


def predicted_cells(data: PerturbationData, truth: DoubleArray, control: DoubleArray) -> FloatArray:
    """Move the first 20 control cells half of the way to each condition, (n, 20, G)."""
    rows = np.flatnonzero(data.condition_codes < 0)[:20]
    moved = data.expression[rows].toarray()[None] + 0.5 * (truth - control)[:, None, :]
    return np.maximum(moved, 0.0).astype(np.float32)


def our_values(inputs: MetricInputs) -> dict[str, dict[str, float]]:
    """Score with every registered metric, and count the significant genes."""
    manager = PluginManager.load(load_registry().plugins, entry_points=False)
    labels = [condition.label for condition in inputs.conditions]
    values = {
        spec.name: dict(
            zip(
                labels,
                spec.factory(manager.configure(spec))(inputs).values.tolist(),
                strict=True,
            )
        )
        for spec in manager.specs(MetricSpec)
    }
    counts = inputs.de_tests.is_significant.sum(axis=1).astype(float).tolist()
    values["n_significant"] = dict(zip(labels, counts, strict=True))
    return values


def peer_values(path: Path, inputs: MetricInputs) -> dict[str, dict[str, dict[str, float]]]:
    """Run the peers that the environment names."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "predictions.npz"
        np.savez(
            archive,
            labels=np.array([condition.label for condition in inputs.conditions]),
            predicted=inputs.predicted,
            truth=inputs.truth,
            control=inputs.control,
            reference=inputs.perturbed_mean,
            de_indices=inputs.de_indices,
            cells=np.array(inputs.predicted_cells.cells),
        )
        for variable, script in PEERS.items():
            if variable in os.environ:
                command = [os.environ[variable], str(FIXTURE.with_name(script)), path, archive]
                environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
                output = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True, env=environment
                ).stdout
                found[script] = json.loads(output)
    return found


def main(given: str | None) -> None:
    """Write the fixture, or print differences on a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(given) if given else Path(folder) / "toy.h5ad"
        if not given:
            write_toy_h5ad(path, SHAPE)
        inputs = peer_inputs(read_anndata(path))
        ours, peers = our_values(inputs), peer_values(path, inputs)
    for script, metrics in peers.items():
        for metric, values in metrics.items():
            differences = {label: abs(ours[metric][label] - v) for label, v in values.items()}
            worst = max(differences, key=lambda label: differences[label])
            sys.stdout.write(f"{script} {metric}: {differences[worst]:.1e} ({worst})\n")
    if not given:
        FIXTURE.write_text(json.dumps(peers, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:2] or [None])
