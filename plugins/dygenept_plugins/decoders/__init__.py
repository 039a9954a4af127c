"""Decoders that ship with DyGenePT, one file each.

``latent_arithmetic`` is the default; ``linear`` and ``bilinear`` are simpler.
"""
