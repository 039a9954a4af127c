"""One small DyGenePT plugin of each kind."""
