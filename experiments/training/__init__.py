"""Training: loop, phases, optimisation, checkpoints, distributed processes."""
