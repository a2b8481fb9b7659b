"""The Rank mode's table: groups of one ranking, or of two side by side."""

from tui_influence.tui.widgets.table import Table


class RankingTable(Table):
    """Rows of a sheet; an index is a group's column in the masks."""

    help = (
        "A ranking. A line is a group, and the bar is the 95% interval around the estimate, on one scale for all; "
        "right of the line helps, left of it hurts, and * is beyond chance (q < 0.05 among all groups). Of two "
        "rankings, what helps with one and hurts the other comes first. <rank.mark> marks lines to be copied, "
        "<rank.filter> leaves some out, <rank.sort> orders them."
    )
