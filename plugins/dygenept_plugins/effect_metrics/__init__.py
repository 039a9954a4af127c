"""Metrics of tables of effects: one module per family."""
