"""Runs: a plan (rows of mask, seed, role) handed to worker processes, which leave one record a row.

There is no other way to train anything here.
"""
