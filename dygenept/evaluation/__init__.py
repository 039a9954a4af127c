"""From predictions to numbers that can be compared.

Read ``scoring`` first (predictions beside the truth, one score per metric and condition), ``draws``
(several draws of the same conditions), then what metrics are made of: ``rows``, ``candidate_ranks``
(its L1 distances are in ``manhattan``) and ``cell_samples`` (``batch_mix`` says which cells go into
other batches, ``rank_moves`` how). ``reference`` and ``closed_form`` show the train perturbations
to baselines and to metrics; ``held_out`` draws validation labels and sorts held-out perturbations.
``aggregates`` turns scores into means; ``clusters``, ``bootstrap`` (which makes each random draw
once), ``mean_intervals``, ``sign_flip``, ``comparison`` and ``confidence_set`` say how far they can
be trusted. ``control_cells`` halves the control cells, ``predicted_cells`` tests cells that a model
predicts, ``blocks`` computes metrics in parts, and ``effect_scoring`` scores tables of effects, in
which most pairs are missing, and ``two_way`` says how far their means can be trusted.
"""
