"""Baselines that ship with DyGenePT, one file each; ceilings and floors among them.

Read ``perturbed_mean`` first, then ``control_mean``, ``matching_mean`` and ``additive`` (means),
``linear``, ``ridge``, ``knn`` and ``gp`` (regressions on gene embeddings), ``random_train``;
``truth``, ``technical_duplicate`` and ``shuffled`` (given the truth); ``gears`` and
``scgpt_finetune`` (published packages in environments of their own).
"""
