"""Knowledge files of other projects, read without running any code that they contain.

Read ``original`` (the original model's tensor file), ``gene_vectors`` (one vector per gene) and
``safe_pickle`` (plain values only).
"""
