"""Cell encoders that ship with DyGenePT, one file each."""
