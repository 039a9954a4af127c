"""The eight facets of a gene: their texts, how gaps are filled, and where each facet is from.

Read ``texts`` (written and kept), ``informants`` and ``imputation`` (gaps filled from neighbours),
``regeneration`` (step 2.5), ``origins`` (native, regenerated or imputed), ``graph_facets`` (graphs
as further facets), and ``controls`` (wrong on purpose). Which GO terms belong to which facet is in
the shipped gene tables; ``scripts/go_roots.py`` decides it.
"""
