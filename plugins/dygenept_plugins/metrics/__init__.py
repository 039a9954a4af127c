"""Metrics that ship with DyGenePT, one file each, each with a runnable example.

Over all genes: ``mse``, ``pearson_delta``, ``pearson_delta_perturbed_ref``. Over the top-20 DE
genes: ``mse_top20``, ``mae_top20``, ``pearson_top20``, ``pearson_delta_top20``,
``direction_accuracy_top20``. Against other perturbations: ``perturbation_discrimination``,
``centroid_accuracy``. With DE tests: ``wmse``, ``de_overlap``. With cells: ``energy_distance``.
"""
