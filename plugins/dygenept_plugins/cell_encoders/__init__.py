"""Cell encoders that ship with DyGenePT, one file each.

``none`` gives every cell one learned state, ``mlp`` reads expression, and ``scgpt`` reads cells as
sequences of genes.
"""
