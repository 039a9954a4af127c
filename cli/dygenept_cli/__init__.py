"""The DyGenePT command line: one module a command."""
