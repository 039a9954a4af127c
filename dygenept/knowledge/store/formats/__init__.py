"""Knowledge files of other projects, read without running any code that they contain.

Read ``detection`` (which format a file has), ``original`` (the original model's tensor file),
``gene_vectors`` (one vector per gene) and ``safe_pickle`` (plain values only).
"""
