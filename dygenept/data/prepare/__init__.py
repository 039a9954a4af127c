"""From a file of any layout to one that every command reads without a flag; the file is kept.

Read in this order: ``options`` (what is asked for), ``row_blocks`` (the cells of a file, a block at
a time), ``passes`` (sums over them, and checks of their values), ``filters`` (which cells and genes
are kept), ``choosing`` (whose cells choose variable genes: controls, and train cells of a fold of
the ready file), ``variable_genes`` (which genes vary over these), ``knock_down`` (do targets move
as the modality says), ``matched_targets`` (the same within batches), ``documents`` (what is written
down), ``writing`` (the ready file), ``pipeline`` (all of it, and the manifest), ``strength``
(energy distance with a permutation test), ``screen`` (statistics of the ready cells). The page is
in ``dygenept.reports.screen_page``.
"""
