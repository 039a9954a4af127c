"""Facet writers that ship with DyGenePT, one file each."""
