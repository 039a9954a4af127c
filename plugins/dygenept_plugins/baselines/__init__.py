"""Baselines that ship with DyGenePT, one file each."""
