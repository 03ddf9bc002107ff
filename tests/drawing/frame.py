"""What all panels are drawn with: series, a place for each time, text, colours."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

Json = Mapping[str, Any]
Points = Sequence[tuple[float, float]]

PALETTE = (
    "#3d8b40", "#c78a00", "#2f7fb8", "#d9641f", "#c4302b", "#1f60c4", "#a352cc", "#8f7a3b",
    "#5aa9a0", "#e0659b", "#6b7c2d", "#7a6ff0", "#9c5b3c", "#4c8f6a", "#b3448b", "#5b7083",
)  # fmt: skip
COLOURS = {
    "green": "#3d8b40",
    "yellow": "#c78a00",
    "orange": "#e0701a",
    "red": "#c4302b",
    "blue": "#1f60c4",
}
INK, FAINT, GRID = "#24292e", "#6a737d", "#e4e7eb"
BOTTOM, TEXT = 16, 10.5
CHARACTER = 6.2
"""The mean width of a character at the size of ``TEXT``."""
END = f' text-anchor="end" fill="{FAINT}"'
MIDDLE = f' text-anchor="middle" fill="{FAINT}"'


class Series(NamedTuple):
    """One line: its name, its labels and (time, value)."""

    name: str
    labels: Mapping[str, str]
    points: Points


class Span(NamedTuple):
    """The time that is shown, in seconds since the epoch."""

    start: float
    end: float


class Frame(NamedTuple):
    """Where times and values stand: a box that begins ``left`` and is ``height`` high."""

    span: Span
    left: float
    width: float
    height: float

    def x(self, at: float) -> float:
        """The place of a time."""
        return self.left + (self.width - self.left) * (at - self.span.start) / self.seconds

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.span.end - self.span.start

    def time_axis(self) -> Iterator[str]:
        """Minutes and seconds since the start of the run."""
        steps = (5, 10, 15, 30, 60, 120, 300, 3600)
        step = next(each for each in steps if self.seconds / each <= 5)
        for at in range(step, int(self.seconds), step):
            said = f"{at // 60}:{at % 60:02d}"
            yield text(self.x(self.span.start + at), self.height + 12, said, size=9, more=MIDDLE)


def text(x: float, y: float, said: str, *, size: float = TEXT, more: str = "") -> str:
    """One line of text; ``more`` are attributes."""
    return f'<text x="{short(x)}" y="{short(y)}" font-size="{size}"{more}>{escape(said)}</text>'


def mapped(defaults: Json, value: float) -> tuple[str, str] | None:
    """What is shown for this very value, and in which colour."""
    for mapping in defaults.get("mappings", ()):
        found = mapping["options"].get(f"{value:g}")
        if found is not None:
            return found["text"], COLOURS[found["color"]]
    return None


def steps_of(panel: Json) -> list[tuple[float | None, str]]:
    """The panel's thresholds: from which value on which colour."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return [(step["value"], step["color"]) for step in steps]


def fitted(said: str, width: float) -> str:
    """As much of it as there is room for."""
    room = int(width / CHARACTER)
    return said if len(said) <= room else said[: max(1, room - 1)] + "…"


def short(number: float) -> str:
    """Short: a tenth of a pixel is enough."""
    return f"{number:.1f}".removesuffix(".0")
