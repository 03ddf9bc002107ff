"""The pieces of which a page for people is made: escaped text, tables, marks, times. Pure.

Only what has the type ``Html`` may stand in a page as it is; everything else goes through ``text``.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, NewType

from consumer.iso_time import iso_time

Html = NewType("Html", str)


class Column(NamedTuple):
    """A column of a table; numbers stand to the right."""

    heading: str
    is_number: bool = False


def table(
    title: str, told: str, columns: Sequence[Column], rows: Sequence[Sequence[Html]], *, of: int
) -> str:
    """Roles are said again: a narrow screen shows rows as blocks, and would lose them."""
    if not rows:
        return f'<h2>{text(title)}</h2><p class="quiet">None.</p>'
    if of > len(rows):
        told += f" {len(rows)} of {of} are shown, those first that are worth a look."
    headings = "".join(
        f'<th scope="col" role="columnheader"{_class(each)}>{text(each.heading)}</th>'
        for each in columns
    )
    return (
        f'<h2>{text(title)}</h2><table role="table"><caption>{prose(told)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{headings}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(_row(columns, row) for row in rows)}</tbody></table>'
    )


def _row(columns: Sequence[Column], cells: Sequence[Html]) -> str:
    rest = "".join(
        f'<td role="cell" data-label="{text(column.heading)}"{_class(column)}>'
        f"<div>{cell}</div></td>"
        for column, cell in zip(columns[1:], cells[1:], strict=True)
    )
    return f'<tr role="row"><th scope="row" role="rowheader">{cells[0]}</th>{rest}</tr>'


def _class(column: Column) -> str:
    return ' class="number"' if column.is_number else ""


def text(value: str) -> Html:
    return Html(escape(value, quote=True))


def prose(words: str) -> Html:
    """A sentence in which what stands between backticks is code."""
    parts = words.split("`")
    return Html(
        "".join(
            f"<code>{text(part)}</code>" if place % 2 else text(part)
            for place, part in enumerate(parts)
        )
    )


def join(*parts: Html) -> Html:
    return Html(" ".join(filter(None, parts)))


def small(*parts: str) -> Html:
    words = "".join(parts)
    return Html(f'<span class="small">{prose(words)}</span>' if words else "")


_SIGNS = {"good": "●", "warn": "▲", "bad": "■"}


def mark(kind: str, word: str) -> Html:
    """A word with a shape and a colour: the word alone says all."""
    sign = f'<span aria-hidden="true">{_SIGNS[kind]}</span>'
    return Html(f'<span class="mark {kind}">{sign} {text(word)}</span>')


def meter(name: str, share: float) -> Html:
    percent = f"{share:.0%}"
    return Html(
        f'<span class="nowrap"><meter min="0" max="1" high="0.75" optimum="0" '
        f'value="{min(share, 1.0):.3f}" aria-label="{text(name)}">{percent}</meter> '
        f"{percent} {text(name)}</span>"
    )


def number(value: int) -> Html:
    return Html(f"{value:,}")


def known(value: int | None) -> Html:
    return text("not known yet") if value is None else number(value)


def clock(at_ms: int) -> Html:
    stamp = iso_time(at_ms)
    return Html(f'<time datetime="{stamp}">{stamp[11:19]} UTC</time>')


def when(at_ms: int, now_ms: int) -> Html:
    stamp = iso_time(at_ms)
    ago = span(now_ms - at_ms)
    return Html(f'<time class="nowrap" datetime="{stamp}" title="{stamp}">{ago} ago</time>')


_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(milliseconds: int) -> str:
    """A length of time in its two largest units: ``2 h 5 min``."""
    seconds = max(0, milliseconds // 1000)
    parts = list(_split(seconds))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _split(seconds: int) -> Iterable[tuple[int, str]]:
    for size, unit in _UNITS:
        yield seconds // size, unit
        seconds %= size
