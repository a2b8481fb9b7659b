"""Runs: a plan (rows of mask, seed and role) trained by worker processes, which write one record per row and target.

There is no other way to train a model in this program.
"""
