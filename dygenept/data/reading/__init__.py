"""Reads and checks an ``.h5ad`` file; whatever is accepted or mended is said in its notes.

Read in this order: ``anndata_file`` (the whole file, step by step), ``in_memory`` (an AnnData
object by the same rules), ``h5ad`` (its parts on disk) with
``look_over`` (is it safe to open), ``label_kinds`` (what a name is that is no
gene), ``labels`` and ``cells`` (which perturbation each cell has), ``unknown_targets`` (names that
nobody knows), ``group_names`` (cell types), ``expression`` (the matrix, checked and normalised),
``carried_lists`` (DE lists that the file carries), ``fingerprint`` (its SHA-256).
"""
