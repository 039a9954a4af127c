"""DyGenePT on tables of effects.

Read in this order: ``left_out`` (exact predictions of left-out perturbations), ``recipe`` (what is
chosen by them), ``smoother`` (the closed-form start), ``pairs`` (measured pairs with their start),
``pair_network`` (the network, one output gene at a time), ``gradients`` (its training with a masked
loss) and ``table_model`` (the model). ``of_cells`` asks a model of cells for a table's pairs.
"""
