"""Genes: what they are called, and what is known of them as text.

Read ``tables`` (the shipped symbols, aliases and GO terms), ``identity`` (which names are one
gene), ``matching`` (finds a gene under any of its names) and ``corpus`` (the text of each gene,
from the tables or from a user's file).
"""
