"""Benchmarks: each hot path against an honest baseline, on CPU time."""
