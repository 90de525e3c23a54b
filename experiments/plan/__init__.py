"""Plan a run before it starts: memory, batch, images, FLOP, hours, disk (`python -m experiments.plan`)."""
