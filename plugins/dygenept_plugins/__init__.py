"""The plugins that ship with DyGenePT; their modules are listed in ``registry.yaml``.

The rooms are named after the kinds: ``datasets``, ``splits``, ``gene_encoders``,
``text_encoders``, ``facet_writers``, ``kg_sources``, ``cell_encoders``, ``attention``,
``decoders``, ``baselines`` and ``metrics``. Behind the parts of the model are the torch modules of
``networks``; behind the plugins that call a language model are the ``endpoints``. Read one metric
first, then one baseline, then ``attention`` with its network.
"""
