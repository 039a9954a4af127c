"""Baselines that ship with DyGenePT: one file each, or one for a family.

Read ``means`` first (means, their sum, a random draw), then ``linear``, ``ridge``, ``knn`` and
``gp`` (regressions on gene embeddings). ``ceilings`` are given the truth; ``published`` (GEARS,
biolord, STAMP, State, CellFlow) and ``scgpt_finetune`` run packages in environments of their own.
"""
