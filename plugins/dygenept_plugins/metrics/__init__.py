"""Metrics that ship with DyGenePT: one file each; correlations, errors and ranks together.

Read ``errors`` and ``pearson`` first, then ``direction_accuracy_top20`` and ``ranks``; ``wmse`` and
``de_overlap`` read DE tests, ``energy_distance`` reads cells.
"""
