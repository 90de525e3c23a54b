"""The fitted decision (decision.json): fit, cross-fitting, comparison, post-processing."""
