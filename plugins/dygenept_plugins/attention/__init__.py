"""Attention over facets that ships with DyGenePT, one file each.

``sparsemax`` is the default; ``softmax``, ``entmax15``, ``gated`` and ``mean`` are its rivals. All
are one network that differs in how scores become weights.
"""
