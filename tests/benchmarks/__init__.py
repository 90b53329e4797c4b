"""Benchmarks: medians of several runs, as ratios to something measured in the same run."""
