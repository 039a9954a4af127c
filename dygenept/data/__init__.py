"""From a name or a file to what a model may see of one fold.

Read in this order: ``catalog``, ``collections``, ``request`` and ``opening`` (which data set),
``reading`` (an AnnData file to ``PerturbationData``), ``prepare`` (a file of any layout to a ready
one), ``sums`` (of groups of cells), ``batches`` (controls matched by batch, or batches scaled),
``pseudobulk`` (means per condition), ``de`` (differentially expressed genes), ``measured`` (means
and DE genes together), ``splits`` (folds, and the file that keeps them), ``task`` (one fold, cut
out), ``guard``, ``reachable`` and ``references`` (nothing held out can be reached from it).
``simulated`` makes data sets with planted effects; ``assets`` fetches files other than data sets.
``outlines`` says what is known before values are read, ``memory`` what is kept in files under a
limit, and ``memory_of_models`` which models are refused under it; ``asset_graphs`` checks assets
that are files of a graph.
"""
