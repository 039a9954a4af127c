"""Scores of tables of effects, in which most pairs are missing.

Read in this order: ``scoring`` (metrics gene by gene or perturbation by perturbation, and their
resamples over both) and ``resampled`` (intervals and comparisons from these). What metrics are made
of is in ``dygenept.types.grouped``.
"""
