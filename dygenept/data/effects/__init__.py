"""Effect tables: labels or values per perturbation and gene, read and checked.

Read in this order: ``frames`` (a file as a frame of text), ``columns`` (which column is what, long
or wide, and text to numbers), ``kinds`` (labels, signs or values), ``reading`` (the data set that a
table makes) and ``filling`` (a task in which every pair has a value). ``controls`` adds control
cells of a second file.
"""
