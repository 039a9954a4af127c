"""Torch modules behind the built-in plugins; imported by their factories alone."""
