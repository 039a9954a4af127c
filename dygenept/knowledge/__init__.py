"""What is known of genes: from annotation and graphs to one tensor of facets with confidence.

The rooms stand on each other in this order: ``genes`` (tables, names, corpus), ``graph`` (who is
linked with whom, and why), ``facets`` (texts, imputation, where each facet is from), ``store``
(vectors and knowledge files). On them stand ``building`` (the knowledge of a run's genes),
``catalog`` (opens a facet set by name; start here), ``pending_texts`` (what it would have to embed
first), ``gene_embedding`` (one vector per gene), ``gene_view`` (one gene, for people) and
``precompute`` (the same in steps that are kept on disk). ``likeness`` says how alike genes are by
each source, and ``child_files`` writes knowledge for isolated models.
"""
