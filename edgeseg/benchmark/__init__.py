"""Measuring a model on a stream so that the numbers can be believed: samples, conditions, doubts, and comparison of two records."""
