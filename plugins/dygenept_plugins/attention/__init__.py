"""Attention over facets that ships with DyGenePT; one file, since only the weighting differs."""
