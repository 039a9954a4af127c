"""Reads and checks an ``.h5ad`` file; whatever is accepted or mended is said in its notes.

Read in this order: ``anndata_file`` (the whole file, step by step), ``h5ad`` (its parts on disk),
``labels`` and ``cells`` (which perturbation each cell has), ``expression`` (the matrix, checked
and normalised), ``carried_lists`` (DE lists in ``uns``), ``fingerprint`` (its SHA-256).
"""
