"""The coefficients of the cost model: what a unit of work takes, as it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from dygenept.data.memory import PROCESS_BYTES, READING_PEAK, TABLES

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What was measured, on cores of an AMD EPYC without a GPU.

    Seconds are those of one thread, added up over threads; those of a GPU are its own. What has no
    other source is fitted by ``benchmarks/scale/cost_points.py`` (docs/scale.md).

    Attributes:
        read_s: Per stored value, to read, check and hash.
        stored_s: Per stored value beside it, to keep cells in a file.
        cell_s: Per cell, to read names and labels.
        read_peak: Peak memory of reading over the size of the CSR matrix: 1.14.
        means_s: Per stored value, means and both DE lists.
        passed_s: Per stored value and pass over cells beside it, where these are in a file.
        list_s: Per condition and gene, the same.
        test_s: Per stored value, tests of every gene.
        looked_s: The same and per binary digit of the number of control cells' values, where each
            value of a cell in a file is looked up among these.
        tested_s: Per condition and gene, the same.
        truth_s: Per condition and gene, to keep the truth.
        keep_s: Per held-out condition and gene, to keep predictions.
        sampled_s: Per held-out condition, to take sampled cells, once a fold.
        distance_s: Per product among the sampled cells of a condition, once a fold.
        task_s: Per stored value, to cut and guard what a model of cells may see: 0.56 s for 68
            million.
        job_s: Per job, whatever its size.
        given_s: Per condition and gene, to cut and guard what a model of means may see.
        score_s: Per held-out condition and metric, to make a record of it.
        row_s: Per held-out condition, gene and metric of one condition alone.
        filed_row_s: Per held-out condition and gene beside it, where tables are in files.
        rank_s: Per pair of a prediction and a candidate, gene and metric of ranks.
        near_s: Per stored value of the sampled cells and metric of cells.
        half_s: Per stored value, to draw a halving of all cells.
        halved_s: Per condition and gene, to lay a halving out.
        product_s: Per multiplication of matrix products, in a fit.
        filed_s: The same beside it, where tables are in files.
        decomposition_s: Per n³ of a symmetric array of n × n that is decomposed.
        pass_s: Per value of a pass, in a fit.
        start_s: Per train condition, gene and part that is held out, the closed-form start of an
            assembly with the tuning of its facets: 11.2 s for 873 x 5,000 and one part
            (docs/speed.md; 14.4 s with a trial of 20 steps).
        step_s: Per row of a batch and gene, a gradient step without frozen layers: 6.3 s for 40
            steps of 64 rows x 5,000 (docs/speed.md).
        cpu_flop: Operations per second of a transformer's layers on a core: 0.8e11 (1.19 s
            for a step of 8 cells x 1,200 tokens on two, and 4.60 s without the cache).
        gpu_flop: The same of a GPU. ASSUMED, not measured.
        density: Share of stored values where nothing says it: that of ``sim:k562``. ASSUMED.
        control_share: Share of control cells where nothing says it. ASSUMED.
        tables: Arrays of conditions x genes in float64 that a run of the default metrics keeps: 8
            where a fifth of the conditions is held out at once.
        shared_tables: Arrays of held-out conditions x genes that a fold keeps for all its jobs, the
            truth, tests and what metrics make of them: 181 MiB for five folds of ``sim:k562``.
        ranked_tables: Arrays of candidates x genes while predictions with a truth of their own are
            ranked: 150 MiB for 1,092 x 5,000.
        process_bytes: A process with its libraries: 0.25 GiB.
        torch_bytes: What torch, the batches and the start of an assembly add: 1 GiB.
        embed_s: Per facet text that no run has embedded yet, by MiniLM: 9.3 s for 688. ASSUMED of
            other text encoders.
        load_s: To load that encoder: 3 s.
        embed_bytes: What it takes beside the process: 0.5 GiB.
        value_bytes: A value of a metric in a record, as JSON.
    """

    read_s: float = 9.4e-09
    stored_s: float = 7.1e-09
    cell_s: float = 2.3e-06
    read_peak: float = READING_PEAK
    means_s: float = 4.3e-09
    passed_s: float = 1.4e-08
    list_s: float = 4.3e-08
    test_s: float = 3.9e-08
    looked_s: float = 1.7e-08
    tested_s: float = 2.3e-07
    truth_s: float = 5.5e-08
    keep_s: float = 1.2e-07
    sampled_s: float = 0.00068
    distance_s: float = 8.3e-11
    task_s: float = 8.2e-9
    job_s: float = 0.014
    given_s: float = 5.8e-09
    score_s: float = 2.1e-05
    row_s: float = 6.7e-09
    filed_row_s: float = 1.7e-07
    rank_s: float = 7.2e-11
    near_s: float = 1.7e-09
    half_s: float = 1.6e-09
    halved_s: float = 1.7e-09
    product_s: float = 3.2e-11
    filed_s: float = 3.8e-12
    decomposition_s: float = 2.3e-10
    pass_s: float = 1.8e-09
    start_s: float = 2.5e-6
    step_s: float = 4.9e-7
    cpu_flop: float = 0.8e11
    gpu_flop: float = 5e13
    density: float = 0.127
    control_share: float = 0.066
    tables: int = TABLES
    shared_tables: float = 4.3
    ranked_tables: float = 3.6
    process_bytes: int = PROCESS_BYTES
    torch_bytes: int = GIB
    embed_s: float = 0.0125
    load_s: float = 3.0
    embed_bytes: int = GIB // 2
    value_bytes: int = 110


MEASURED = Coefficients()
