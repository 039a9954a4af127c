"""Cell encoders that ship with DyGenePT: scGPT, and those without a transformer."""
