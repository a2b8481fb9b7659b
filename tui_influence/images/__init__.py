"""Pictures in a terminal: arrays of pixels become rows of styled text, or a terminal's own graphics.

Knows no screen and no files; pixels come as checked arrays, and nothing here decodes an image format.
"""
