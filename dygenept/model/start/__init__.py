"""The closed-form start: what can be fitted without gradient steps is fitted before the first one.

Read in this order: ``closed_form`` (the start as a whole), ``features`` (what it reads of a
network), ``readout`` (typical change, ridge regression, and the choice between fits), ``typical``
and ``left_out`` (what that stands on: changes by cell type, and exact left-out errors),
``facet_tuning`` (what is read of facets, and the vectors that tell attention which one it reads),
``held_out`` (the perturbations that decide on it), ``tuning_rows`` (the
conditions laid out for that) and ``left_out_loss`` (its gradient by hand, for many perturbations).
``measured`` lets train genes keep what was measured of them where codes say nothing of other genes.
``beyond_chance`` has the rules by which left-out errors choose.
"""
