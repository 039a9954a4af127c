"""Splits that ship with DyGenePT, one file each.

Read ``kfold`` first, then ``gears`` (the published protocols), ``cross_cell_type``, and
``manifest`` (folds from a file).
"""
