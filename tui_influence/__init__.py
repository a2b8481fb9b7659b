"""tinfl: which parts of a pretraining dataset help or hurt a downstream task.

Importing the package costs nothing: every command imports what it needs, when it runs.
"""

__version__ = "0.1.0"
