"""Benchmarks: `make bench` runs every scenario and shows one table of figures for each."""
