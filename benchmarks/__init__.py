"""Measurements from a checkout; never installed. See benchmarks/README.md."""
