"""Differentially expressed genes of every condition.

Read in this order: ``lists`` (the top 20, from the file or by t-test), ``rank_sum`` (Mann-Whitney p
values of every gene), ``tests`` (what metrics read: significance and scores against the rest).
``half_tests`` runs the same tests on half of the cells, for ceilings, and ``merged_ranks`` ranks
several conditions at once.
"""
