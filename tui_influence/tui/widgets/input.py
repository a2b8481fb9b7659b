"""A field that says what may be typed into it."""

from textual import events
from textual.widgets import Input

FILTER = (
    "The filter. Words with blanks between; all must match; applied as you type.\n"
    "shark         part of a name, in upper or lower case\n"
    ">0.1          an influence above; also <-0.2, >= and <=\n"
    "|x|>0.1       of either sign\n"
    "q<0.05        significant (false discovery rate)\n"
    "se<0.02       standard error\n"
    "rank<=10      the first ten\n"
    "n>=50         models that have the group, and models without it\n"
    "Of two rankings, >0.1 is about the first, and besides there are\n"
    "second>0      an influence in the second; |second|>0.1\n"
    "d<0           the first minus the second; |d|>0.1\n"
    "q<0.05        significant in both\n"
    "so that first>0 second<0 q<0.05 is what helps with one and hurts the other.\n"
    "enter goes back to the table, <app.back> takes the filter away."
)
PROBE_FILTER = (
    "The filter. Words with blanks between; all must match; applied as you type.\n"
    "shark         part of a name: a class, a prediction, a source class or image\n"
    "<-0.1         an influence below; also >0.2, >= and <=\n"
    "q<0.05        significant (false discovery rate)\n"
    "margin<-2     of failures: mean margin, nats\n"
    "right<0.1     of failures: share of the models that are right\n"
    "enter goes back to the table, <app.back> takes the filter away."
)
SEARCH = (
    "The search. Part of a line, in upper or lower case; it is marked as you type. Enter goes back to the log, "
    "where <log.next> and <log.previous> go from hit to hit; <app.back> ends the search."
)
LIST_FILTER = "A list that narrows as you type part of a name. Enter takes the highlighted name."
PATH = "A path, absolute or from where the app was started; ~ is your home. Enter writes the file."

NUMBERS = (
    "Numbers of classes. With commas between, such as 10,20,40: for each, so many of lowest influence are dropped, as "
    "many at random, and as many of highest influence. Enter takes them; nothing at all takes the usual ones."
)
NAME = "A name. Letters, digits, dots, underscores and hyphens. Enter takes it."


class Field(Input):
    """A line of text, and what it means.

    Attributes:
        help: what may be typed.
        scope: it has no actions of its own.
    """

    scope = ""

    def __init__(self, help: str, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:
        """Begin with a text.

        Args:
            help: what may be typed.
            value: what is typed already.
            placeholder: what is shown while nothing is.
            id: of the widget.
        """
        super().__init__(value, placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self.help = help

    async def on_key(self, event: events.Key) -> None:
        """Take the text as it is when enter is its turn: as a binding, enter would wait until later keys are typed."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            await self.action_submit()
