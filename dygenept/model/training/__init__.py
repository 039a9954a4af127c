"""Training: options, loop, schedule and checkpoints."""
