"""Benchmark suites of DyGenePT, declared in YAML."""
