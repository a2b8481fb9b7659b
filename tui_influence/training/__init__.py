"""Training: (mask, seed) -> outputs. Networks, source training, transfer; it knows no files and no terminal.

Everything but `cuda` and `types` needs torch, so nothing is imported here.
"""
