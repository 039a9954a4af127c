"""Models that run in an environment and a process of their own; ``docs/isolated.md``."""
