"""Metrics that ship with DyGenePT: one file each; correlations, errors and ranks together.

Read ``errors`` and ``pearson`` first, then ``direction_accuracy_top20`` and ``ranks``; ``wmse``,
``de_overlap`` and ``de_set`` read DE tests, ``split_control`` halves of the controls, and
``energy_distance`` reads cells; ``interactions`` is about combinations.
"""
