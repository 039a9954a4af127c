"""The DyGenePT model: assembly of its parts, control pool and losses."""
