"""Reads and checks an ``.h5ad`` file; whatever is accepted or mended is said in its notes.

Read in this order: ``anndata_file`` (the whole file, step by step), ``in_memory`` (an AnnData
object by the same rules), ``h5ad`` and ``encodings`` (its parts on disk) with ``look_over`` (is it
safe to open) and ``zarr_store`` (a store as such a file), ``symbols`` (what its genes are called),
``layouts`` and ``column_contents`` (which columns are read), ``labels``, ``label_kinds`` and
``unknown_targets`` (what a label names), ``cells`` and ``cell_batches`` (which cell type,
perturbation and batch each cell has, and which are left out), ``labelled`` (all that without the
matrix), ``places`` and ``matrices`` (which matrix is read, and how), ``matrix_blocks`` and
``stored_cells`` (the same into a file, under a limit on memory), ``expression`` and ``scale`` (its
values, checked and normalised), ``carried_lists`` (DE lists that the file carries), ``fingerprint``
(its SHA-256). ``outline`` has a file's names without its values.
"""
