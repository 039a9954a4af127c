"""DyGenePT on tables of effects, without cells.

Read in this order: ``left_out`` (exact predictions of left-out perturbations), ``recipe`` (what is
chosen by them) and ``smoother`` (the model). ``of_cells`` asks a
model of cells for a table's pairs.
"""
