"""docs/operations.md as tests read it: the commands of its sections, in their order."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "operations.md"


def commands(heading: str) -> list[str]:
    """What one types under a heading (of any level, up to the next one), each as a shell takes it;
    a command may have several lines."""
    text = PAGE.read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)
    found: list[str] = []
    for block in re.findall(r"^```console\n(.*?)^```$", section[0], re.MULTILINE | re.DOTALL):
        found += [each.rstrip() for each in re.split(r"^\$ ", block, flags=re.MULTILINE) if each]
    return found


def every_command() -> list[str]:
    """Those of the whole page."""
    text = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE)
    return [command for heading in headings for command in commands(heading)]
