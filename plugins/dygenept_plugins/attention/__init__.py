"""Attention over facets that ship with DyGenePT, one file each."""
