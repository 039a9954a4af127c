"""DyGenePT on tables of effects.

Read in this order: ``left_out`` (exact predictions of left-out perturbations), ``recipe`` (what is
chosen by them), ``fitted_start`` (what the closed-form start predicts from), ``smoother`` (how it
is fitted), ``pairs`` (measured pairs with their start), ``pair_network`` (the network, one output
gene at a time), ``gradients`` (its training with a masked loss), ``starts`` (what it is trained
from), ``fitted_table`` (all that a fitted model predicts from), ``kept_table`` (its folder),
``table_model`` (the model) and ``explanation`` (what a prediction relies on). ``of_cells`` asks a
model of cells for a table's pairs.
"""
