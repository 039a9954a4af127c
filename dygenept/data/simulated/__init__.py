"""Stand-ins of real data sets, with planted effects that follow the genes' facets.

Read in this order: ``profiles`` (how large each stand-in is), ``programs`` (gene programs from the
GO annotation), ``effects`` (which facet answers, and what it changes), ``counts`` (cells drawn
around it), ``simulation`` (all of these together), ``truth`` (what was planted, kept beside the
file), ``export`` (the file) and ``expected`` (the means that a perfect model would predict).
"""
