"""From a ranking to a better source dataset: arms, what they are predicted to gain, and what they gained.

A pruning is a run: `runs` trains its rows, `store` keeps its records. Here is decided which rows, and what they say.
"""
