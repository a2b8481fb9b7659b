"""`note.json`: what a user has noted about a run, and its tags. No result depends on it; loads no numpy."""

from dataclasses import asdict, dataclass

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.store.files import read_json, write_json
from tui_influence.store.json_values import describe_damage, table, text, texts
from tui_influence.store.paths import Paths
from tui_influence.text import printable

MAX_TEXT, MAX_TAG, MAX_TAGS = 2000, 40, 20
"""Characters of a note and of a tag, and number of tags."""
_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class Note:
    """A note.

    Attributes:
        text: in one line; empty if there is none.
        tags: without spaces, in the order in which they were added.
    """

    text: str = ""
    tags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "  ".join([*([self.text] if self.text else []), *(f"#{tag}" for tag in self.tags)])


def read_note(paths: Paths) -> Note:
    """Read the note of a run; an empty one if there is none.

    Raises:
        ResultsError: it is damaged.
    """
    if not paths.note.exists():
        return Note()
    values = read_json(paths.note, limit=_MAX_BYTES)
    try:
        content = table(values)
        return Note(printable(text(content["text"]), MAX_TEXT), tuple(printable(tag) for tag in texts(content["tags"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{printable(str(paths.note))}: damaged ({describe_damage(error)})") from error


def write_note(paths: Paths, note: Note) -> None:
    """Write the note of a run; an empty one removes it.

    Raises:
        ConfigError: the text or a tag is not as it must be.
        ResultsError: it cannot be written.
    """
    if len(note.text) > MAX_TEXT or printable(note.text) != note.text:
        raise ConfigError(f"a note is one line of at most {MAX_TEXT:,} characters")
    if len(note.tags) > MAX_TAGS:
        raise ConfigError(f"a run has at most {MAX_TAGS} tags")
    for tag in note.tags:
        if not 0 < len(tag) <= MAX_TAG or printable(tag) != tag or any(map(str.isspace, tag)):
            raise ConfigError(f'"{printable(tag, MAX_TAG)}" is no tag: it has 1 to {MAX_TAG} characters and no spaces')
    if note == Note():
        paths.note.unlink(missing_ok=True)
    else:
        write_json(paths.note, asdict(note))
