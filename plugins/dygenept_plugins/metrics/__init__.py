"""Metrics that ship with DyGenePT: one file each; correlations, errors and ranks together."""
