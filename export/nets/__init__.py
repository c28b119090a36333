"""Torch definitions of the networks, with the parameter names of the official checkpoints."""
