"""From a file of any layout to one that every command reads without a flag; the file is kept.

Read in this order: ``options`` (what is asked for), ``source`` (labels, genes and the matrix of the
file), ``row_blocks`` (its cells, a block at a time), ``filters`` (which cells and genes are kept),
``variable_genes`` (which of them vary, chosen on control and train cells alone), ``knock_down`` (do
targets move as the modality says), ``batch_scaling`` (batch effects taken away, by controls),
``passes`` and ``pipeline`` (the passes over the file), ``writing`` (the ready file), ``strength``
(energy distance with a permutation test), ``screen`` (statistics of the ready cells), ``report``
(the page).
"""
