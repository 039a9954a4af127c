"""Torch modules behind the built-in plugins; imported only by their factories.

Read in this order: ``facets`` (gene encoder), ``cell_states`` (small cell encoders), ``attention``,
``linear_decoders`` and ``latent_arithmetic`` (decoders), ``linear_start`` (their first weights),
``sparse_rows`` (a batch of expression, made dense where it is read).
The scGPT cell encoder: ``scgpt`` (the transformer), ``scgpt_folder`` and ``scgpt_checkpoint``
(published weights), ``scgpt_tokens`` and ``scgpt_binning`` (cells as sequences),
``scgpt_batching``, ``scgpt_cells`` (the whole encoder), ``scgpt_states``, ``scgpt_cache`` and
``scgpt_cache_files`` (outputs of frozen layers).
``text_transformer`` runs text encoders.
"""
