"""Decoders that ship with DyGenePT: those without hidden layers in one file, and the default."""
