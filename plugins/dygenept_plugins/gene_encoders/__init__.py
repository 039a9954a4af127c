"""Gene encoders that ship with DyGenePT: ``facets``, frozen facet vectors behind an adapter."""
