"""Pictures in a terminal: arrays of pixels become rows of styled text, or a terminal's own graphics.

The only package that imports term_image, and only when something is drawn. Knows no screen and no files; pixels come as
checked arrays, and nothing here decodes an image format.
"""
