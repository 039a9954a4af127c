"""Knowledge graphs: weighted edges between genes, read from publishers' files and joined.

Read ``whole_graph`` (pairs or sets of names become a graph), ``files`` and ``file_source``
(finding, reading and reporting), ``cache``; then ``combined`` (a gene's neighbours), ``joining``
(the strongest evidence wins), ``sources`` (which graphs a run uses) and ``enrichment`` (step 1.5).
Tables of links stand by themselves: ``links`` (rows of genes) and ``graph_vectors``.
"""
