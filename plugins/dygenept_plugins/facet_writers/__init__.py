"""Facet writers that ship with DyGenePT, one file each.

``go`` writes from GO annotation and works offline; ``llm`` asks a language model.
"""
