"""The plugins that ship with DyGenePT; each is listed in ``registry.yaml``."""
