"""Results as bytes for programs: CSV, JSON, figures, and the files that they are written to.

Nothing here computes an influence, and nothing is laid out for people: that is `render`.
"""
