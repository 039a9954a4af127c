"""Text encoders that ship with DyGenePT: one file each, Hugging Face models in one together."""
