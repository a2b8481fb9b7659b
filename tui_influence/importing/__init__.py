"""Masks and outputs that another program made, as a results directory: ranked, shown and explored like any other.

`arrays` opens and checks what was given; `directory` writes it. Nothing is unpickled.
"""
