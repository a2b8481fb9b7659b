"""Uses of influences beyond a ranking: subpopulations, failures, leakage.

Pure questions to what has been recorded: nothing here trains, and nothing knows a screen. `cli` and `tui` ask and show.
"""
