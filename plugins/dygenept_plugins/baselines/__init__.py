"""Baselines that ship with DyGenePT: one file each, the plain means in one file together.

Read ``means`` first, then ``additive``, ``linear``, ``ridge``, ``knn`` and ``gp`` (regressions on
gene embeddings), and ``random_train``. The ceilings and floors ``truth``, ``technical_duplicate``
and ``shuffled`` are given the truth; ``gears``, ``biolord``, ``stamp``, ``state`` and
``scgpt_finetune`` are published packages in environments of their own.
"""
