"""The Probe mode's table: failures, the classes of a target, or pairs of images."""

from tui_influence.tui.widgets.table import Table


class ProbeTable(Table):
    """Rows of a `ProbeSheet`; an index is its row's."""

    help = (
        "What a probe found. A line is a test image that most models get wrong, with the group most to blame; or a "
        "class of the target, with what drives its images; or a pair of a source image and a test image. Bars are 95% "
        "intervals around the estimate, on one scale; left of the line hurts, and * is beyond chance (q < 0.05). "
        "<table.choose> opens the image, or the class."
    )
