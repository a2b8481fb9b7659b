"""The two Textual themes: they give the stylesheet the colours of `render.style.Style`."""

from textual.theme import Theme

DARK = Theme(
    name="tinfl-dark",
    primary="#56B4E9",
    secondary="#8A94A0",
    accent="#56B4E9",
    warning="#F0E442",
    error="#FF7F50",
    success="#2FBF94",
    foreground="#D8DEE6",
    background="#101418",
    surface="#171C22",
    panel="#1F262E",
    dark=True,
    variables={"quiet": "#8A94A0", "footer-key-foreground": "#56B4E9", "cursor-back": "#24445A"},
)
LIGHT = Theme(
    name="tinfl-light",
    primary="#0072B2",
    secondary="#5B6670",
    accent="#0072B2",
    warning="#8A6D00",
    error="#B33C00",
    success="#00664B",
    foreground="#1C2329",
    background="#FFFFFF",
    surface="#F4F6F8",
    panel="#E6EAEE",
    dark=False,
    variables={"quiet": "#5B6670", "footer-key-foreground": "#0072B2", "cursor-back": "#CFE5F3"},
)
