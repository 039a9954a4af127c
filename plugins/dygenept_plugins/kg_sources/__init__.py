"""Knowledge-graph sources that ship with DyGenePT, one file each.

Pairs of genes: ``string``, ``bioplex``, ``gears_go``, ``edges`` (a file of yours). Sets of genes:
``go``, ``reactome``, ``gmt`` (a file of yours).
"""
