"""The deterministic weights of `benchmarks.fill_weights`, which tests may import and benchmarks may not import from here."""

from benchmarks.fill_weights import fill_state_dict, first, normal, uniform

__all__ = ["fill_state_dict", "first", "normal", "uniform"]
