"""Stand-ins of real data sets, with planted effects of which a part follows the genes' facets.

Read in this order: ``profiles`` (how large each stand-in is), ``programs`` (gene programs from the
GO annotation), ``targets`` (which genes are perturbed, which facet answers), ``memberships``
(neighbourhoods in STRING, and programs that nothing names), ``vectors`` (what a direction changes),
``effects`` (all sources of an effect together), ``counts`` (cells drawn around it), ``simulation``
(all of these together), ``truth`` (what was planted, kept beside the file), ``export`` (the file)
and ``expected`` (the means that a perfect model would predict).
"""
