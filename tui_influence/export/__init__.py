"""A ranking on its way out: CSV, JSON, a table for people, and the file it is written to.

`report.RankReport` says what a ranking is about; `csv`, `json` and `table` each turn one into text or a rich
renderable, and know nothing of each other. Only `table` imports rich. Nothing here computes an influence.
"""
