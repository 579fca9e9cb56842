"""Benchmarks: time and memory against peers, as ratios within one run. `python -m evals.benchmarks`."""
