"""Benchmarks: figures as ratios to a floor or peer of the same run, written to bench/out/figures.json."""
