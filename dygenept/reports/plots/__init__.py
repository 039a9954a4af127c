"""Plots for papers: SVG or PNG at the width of a column, safe for colour-blind readers.

Read ``style`` first: every plot is a matplotlib figure that it makes, labels and writes. ``boards``
plots what a board says of models and metrics, ``perturbations`` single scores and changes,
``models`` what a kept model learned, and ``learning`` scores against training size. matplotlib is
an extra (``pip install 'dygenept[plot]'``) and is imported when a plot is made. ``kinds`` lists all
plots by name, and ``names`` places labels beside points.
"""
