"""The tables of our pages, so that tests can run what they say."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def rows(page: str, heading: str) -> list[dict[str, str]]:
    """The one table under the heading: each row by the names of its columns."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    names, _, *cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    assert all(len(row) == len(names) for row in cells), f"a table of {page} is not even"
    return [dict(zip(names, row, strict=True)) for row in cells]


def quoted(cell: str) -> str | None:
    """What stands in the cell's first back-ticks; ``\\u200b`` is one character."""
    match = re.search("`([^`]*)`", cell)
    return match and re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), match[1])
