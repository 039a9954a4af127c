"""From predictions to numbers that can be compared.

Read ``scoring`` first (predictions beside the truth, one score per metric and condition), then
what metrics are made of: ``rows``, ``neighbours`` and ``cell_samples``. ``reference`` and
``closed_form`` show the train perturbations to baselines and to metrics; ``held_out`` draws
validation labels and sorts held-out perturbations. ``aggregates``, ``bootstrap`` and
``comparison`` turn scores into means, intervals and p values.
"""
