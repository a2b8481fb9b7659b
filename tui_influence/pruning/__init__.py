"""Prunings: arms, predicted gains, retrainings and measured gains.

A pruning is a run: `runs` trains its rows, `store` keeps its records. This package plans rows and reads results.
"""
