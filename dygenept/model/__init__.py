"""The DyGenePT model and its baselines, from a name to predictions.

``resolve`` finds a model by name. Behind it: ``assembly_text`` (what YAML says), ``overrides``
(what flags change), ``config`` (the validated ``Assembly``), ``knowledge`` (its facets),
``baselines`` and ``grids``. The network itself: ``assembly`` (the forward pass), ``estimator``
(fit and predict), ``fitting`` and ``start`` (first weights), ``training`` (the loop), ``losses``.
"""
