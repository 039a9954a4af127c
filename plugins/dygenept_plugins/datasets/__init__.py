"""Data sets that ship with DyGenePT, one file each."""
