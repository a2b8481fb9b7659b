"""The Prune mode's table: the arms of a pruning, or the target classes under one of them."""

from tui_influence.tui.widgets.table import Table


class ArmTable(Table):
    """Rows of a `GainSheet`; an index is an arm's place among the results, or a class's among those of its arm."""

    help = (
        "Arms of a pruning. A line is an arm, and the bar is the 95% interval of what it gained over keeping "
        "everything, on one scale for all; * is told from zero. <table.choose> opens the target classes under an arm, "
        "those that lost most first, and on a class goes to the ranking for it; <app.back> goes back."
    )
