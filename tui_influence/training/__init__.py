"""Training: (mask, seed) -> outputs. Networks, source training, transfer; it knows no files and no terminal.

`environment` may be imported before torch is; everything else needs torch, so nothing is imported here.
"""
