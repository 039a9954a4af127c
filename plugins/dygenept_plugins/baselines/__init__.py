"""Baselines that ship with DyGenePT: one file each, the plain means in one file together."""
