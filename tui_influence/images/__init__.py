"""Images in a terminal: arrays of pixels as rows of styled text, or in the graphics protocol of a terminal.

Nothing here depends on a screen or on files. Pixels come as checked arrays; no image format is decoded.
"""
