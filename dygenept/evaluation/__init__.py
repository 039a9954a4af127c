"""Evaluation: scoring, aggregates and statistics."""
