"""A hook of MkDocs: adds the pages of the repository's root to the site.

Their links are written for the root. In the site, those to other pages lead there, and those to files that are not
pages become plain text.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the root, and what they are called in the site."""
_LINK = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:)([^)]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=for_site((ROOT / name).read_text(encoding="utf-8"))))
    return files


def for_site(text: str) -> str:
    """Return a page of the root with links that lead somewhere in the site."""
    return _LINK.sub(_link, text.replace("](docs/", "]("))


def _link(match: re.Match[str]) -> str:
    label, path = match.groups()
    path = PAGES.get(path, path)
    return f"[{label}]({path})" if path in PAGES.values() or (ROOT / "docs" / path).exists() else label
