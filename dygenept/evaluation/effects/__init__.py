"""Scores of tables of effects, in which most pairs are missing.

Read in this order: ``grouped`` (ranks, areas and correlations of many groups at once, weighted by
a resample's counts) and ``scoring`` (metrics over genes or perturbations, and their resamples over
both).
"""
