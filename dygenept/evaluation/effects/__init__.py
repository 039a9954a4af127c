"""Scores of tables of effects, in which most pairs are missing.

``scoring`` computes metrics gene by gene or perturbation by perturbation, and their resamples over
both. What metrics are made of is in ``dygenept.types.grouped``.
"""
