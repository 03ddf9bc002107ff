"""The page for people: what stands on it, and that it is safe and legible."""

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from consumer.guard import Alarm
from consumer.letter_trouble import LetterTrouble
from consumer.meanings import meaning_of
from consumer.model import (
    Halted,
    HaltReason,
    MetaError,
    PauseCause,
    PixelId,
    Place,
    Reason,
    Refused,
    Retry,
    RetryCause,
    TopicPartition,
)
from consumer.patience import OutboxState
from consumer.recent_errors import RecentErrors
from consumer.status import (
    About,
    DestinationStatus,
    Halt,
    LettersStatus,
    PartitionStatus,
    Status,
    degraded,
)
from consumer.status_page import ROWS_MAX, status_page
from consumer.status_style import CONTENT_SECURITY_POLICY, DARK, LIGHT
from consumer.usage import UsageKind

NOW_MS = 1_764_000_000_000
SHOP, CRM = PixelId("1729525464415281"), PixelId("2729525464415282")
TOPIC = "conversions.events"
EXPIRED = Halted(HaltReason.TOKEN, MetaError(400, 190, 463, trace_id="Atrace190"))
EMAIL = "canary.bird@cage.example"


def about(**changes: Any) -> About:
    return About(
        version="1.2.3",
        graph_version="v26.0",
        member="consumer-x2x4z",
        group="conversions-consumer",
        topic=TOPIC,
        dlq_topic=f"{TOPIC}.dlq",
        settings_id="3fa9c1d2",
        started_ms=NOW_MS - 93_784_000,
        in_flight_events_max=20_000,
    )._replace(**changes)


def a_destination(pixel: PixelId = SHOP, **changes: Any) -> DestinationStatus:
    return DestinationStatus(
        id=pixel,
        name="",
        state=OutboxState.READY,
        halt=None,
        since_ms=None,
        in_hand=0,
        requests_out=0,
        held=0,
        usage={},
    )._replace(**changes)


def halted() -> DestinationStatus:
    halt = Halt(HaltReason.TOKEN, 190, 463, "Atrace190", meaning_of(EXPIRED))
    since_ms = NOW_MS - 754_000
    return a_destination(state=OutboxState.HALTED, halt=halt, since_ms=since_ms, in_hand=1204)


def a_partition(number: int, **changes: Any) -> PartitionStatus:
    return PartitionStatus(
        partition=TopicPartition(TOPIC, number),
        lag=0,
        open=0,
        uncommitted=0,
        oldest_open_ms=None,
        paused=None,
    )._replace(**changes)


FINE_LETTERS = LettersStatus(0, None, None, None, ())


def a_status(**changes: Any) -> Status:
    return Status(
        at_ms=NOW_MS,
        about=about(),
        joined=True,
        stopping=False,
        kafka_unreachable=False,
        open_records=0,
        destinations=(a_destination(),),
        partitions=(a_partition(0), a_partition(1)),
        letters=FINE_LETTERS,
        alarms=(),
        errors=(),
        dead_letters=(),
    )._replace(**changes)


def in_trouble() -> Status:
    """As much at once as can be wrong."""
    recent = RecentErrors()
    recent.answered(CRM, Refused(MetaError(400, 100, 2804019, EMAIL, EMAIL, "Atrace100")))
    recent.newest(NOW_MS - 3_600_000)
    for _ in range(12):
        recent.answered(SHOP, EXPIRED)
    recent.answered(CRM, Retry(RetryCause.TIMEOUT, None, reached_meta=True))
    for reason in (Reason.REFUSED_BY_META, Reason.REFUSED_BY_META, Reason.MISSING_CURRENCY):
        recent.dead_lettered(reason)
    throttled = a_destination(
        CRM,
        name="CRM",
        state=OutboxState.THROTTLED,
        since_ms=NOW_MS - 42_000,
        held=3,
        usage={UsageKind.APP: 0.31, UsageKind.BUSINESS_USE_CASE: 0.96},
    )
    paused = a_partition(3, lag=360, open=120, uncommitted=21, paused=PauseCause.DESTINATION)
    return a_status(
        open_records=1307,
        destinations=(throttled, halted()),
        partitions=(
            a_partition(0, lag=4000, oldest_open_ms=NOW_MS - 3_900_000),
            paused._replace(oldest_open_ms=NOW_MS - 60_000),
        ),
        letters=LettersStatus(
            waiting=2,
            failing="TOPIC_AUTHORIZATION_FAILED",
            trouble=LetterTrouble.NOT_ALLOWED,
            failing_since_ms=NOW_MS - 130_000,
            too_large=(Place(TopicPartition(TOPIC, 3), 1042),),
        ),
        alarms=(Alarm(CRM, Reason.MISSING_CURRENCY),),
        errors=recent.newest(NOW_MS - 2000),
        dead_letters=recent.letters(NOW_MS - 2000),
    )


class Page(HTMLParser):
    """A page as a reader meets it: its words, its tables as rows of cells, its elements."""

    VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(markup)
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def row(self, first: str) -> list[str]:
        """The one row whose first cell begins so."""
        (found,) = [row for row in self.rows if row[0].startswith(first)]
        return found

    def attributes(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(status: Status, *, now_ms: int = NOW_MS, refreshing: bool = True) -> Page:
    return Page(status_page(status, now_ms=now_ms, refreshing=refreshing).decode())


# --- what stands on it --------------------------------------------------------------------------


def test_when_all_is_well_the_page_says_so_first() -> None:
    shown = page(a_status())

    assert "conversions consumer ● fine" in shown.text
    assert "Nothing needs a look." in shown.text


def test_a_halted_destination_tells_why_since_when_what_it_holds_and_what_to_do() -> None:
    shown = page(in_trouble())

    row = shown.row(SHOP)
    assert row[1].startswith("■ halted token: the token is invalid, expired or revoked (code 190")
    assert "trace Atrace190" in row[1]
    assert row[2:4] == ["12 min 34 s ago", "1,204"]
    assert f"Destination {SHOP} is halted: the token is invalid, expired or revoked." in shown.text
    assert "Put a new token into its file" in shown.text


def test_a_throttled_destination_tells_how_much_of_the_limits_is_used() -> None:
    row = page(in_trouble()).row(CRM)

    assert row[0] == f"{CRM} CRM"
    assert row[1] == "▲ throttled"
    assert row[5:] == ["3", "31% 31% app 96% 96% business use case"]


def test_what_needs_a_person_stands_before_what_ends_by_itself() -> None:
    found = degraded(in_trouble())

    assert [each.needs_a_person for each in found] == [True] * 4 + [False] * 2
    text = page(in_trouble()).text
    assert text.index("Dead letters cannot be written (not allowed: TOPIC_") < text.index("▲ wait")
    assert f"Record {TOPIC}:3:1042 is too large" in text
    assert f"Many events for destination {CRM} are rejected: missing_currency." in text
    assert "1 partition is not read for now: a destination holds all that it may hold." in text


def test_partitions_tell_lag_what_is_open_and_why_they_are_paused() -> None:
    shown = page(in_trouble())

    assert shown.row(f"{TOPIC}:0")[1:] == ["● reading", "4,000", "0", "0", "1 h 5 min ago"]
    assert shown.row(f"{TOPIC}:3")[1:4] == ["▲ paused: destination", "360", "120"]
    assert "Lag, records 4,360 2 partitions" in shown.text
    assert "Oldest pending 1 h 5 min since it was read" in shown.text
    assert "In flight, records 1,307 of 20,000" in shown.text
    assert "Dead letters waiting 2 failing for 2 min 10 s" in shown.text


def test_a_lag_that_is_not_known_is_not_zero() -> None:
    shown = page(a_status(partitions=(a_partition(0, lag=7), a_partition(1, lag=None))))

    assert "Lag, records – not known yet" in shown.text
    assert shown.row(f"{TOPIC}:1")[2] == "not known yet"


def test_errors_are_told_by_code_with_our_meaning_and_the_last_trace_id() -> None:
    shown = page(in_trouble())

    assert shown.row("190, subcode 463")[2] == "12"
    assert shown.row("190, subcode 463")[4] == "Atrace190"
    refused = shown.row("100, subcode 2804019")
    assert refused[1].startswith("A parameter is unknown or does not fit")
    assert refused[3] == f"1 h ago destination {CRM}"
    assert shown.row("timeout")[1].startswith("no answer in time")
    codes = [row[0] for row in shown.rows if row[-1] in ("none", "Atrace190", "Atrace100")]
    assert codes == ["timeout", "190, subcode 463", "100, subcode 2804019"], "the newest first"


def test_dead_letters_are_told_by_reason_with_what_to_do() -> None:
    row = page(in_trouble()).row("refused_by_meta")

    assert row[1].startswith("Meta refuses this event")
    assert row[2:] == ["2", "2 s ago"]


def test_the_page_names_build_settings_and_where_to_read_on() -> None:
    text = page(a_status()).text

    for word in ("1.2.3", "v26.0", "3fa9c1d2", "consumer-x2x4z", f"{TOPIC}.dlq", "docs/runbooks"):
        assert word in text
    assert "1 d 2 h ago" in text


def test_facts_that_are_old_say_so() -> None:
    assert "The loop has told nothing newer" not in page(a_status(), now_ms=NOW_MS + 9000).text
    assert "The loop has told nothing newer" in page(a_status(), now_ms=NOW_MS + 11_000).text


def test_a_page_of_a_thousand_destinations_has_an_end_and_shows_the_troubled_ones() -> None:
    fine = [a_destination(PixelId(f"{number:016}")) for number in range(1000)]
    partitions = [a_partition(number) for number in range(500)]
    partitions[433] = a_partition(433, paused=PauseCause.SCHEMA)
    status = a_status(destinations=(*fine, halted()), partitions=tuple(partitions))

    shown = page(status)

    assert shown.row(SHOP)
    assert shown.row(f"{TOPIC}:433")
    assert len(shown.rows) == 2 * (ROWS_MAX + 1)
    assert f"{ROWS_MAX} of 1001 are shown" in shown.text


def test_a_thousand_halted_destinations_are_not_a_thousand_sentences() -> None:
    many = tuple(halted()._replace(id=PixelId(f"{number:016}")) for number in range(1000))

    shown = page(a_status(destinations=many))

    assert len(shown.attributes("li")) < ROWS_MAX + 10
    assert "and 900 more" in shown.text


# --- safe ---------------------------------------------------------------------------------------


def test_nothing_that_comes_from_elsewhere_is_taken_for_markup() -> None:
    evil = "<img src=x onerror=alert(1)>\"'&"
    status = in_trouble()
    (error, *_) = status.errors
    destination = halted()
    assert destination.halt is not None
    status = status._replace(
        about=about(member=evil, group=evil, topic=evil, dlq_topic=evil, version=evil),
        destinations=(
            destination._replace(name=evil, halt=destination.halt._replace(trace_id=evil)),
        ),
        partitions=(a_partition(0)._replace(partition=TopicPartition(evil, 0)),),
        letters=status.letters._replace(
            failing=evil, too_large=(Place(TopicPartition(evil, 1), 2),)
        ),
        errors=(error._replace(trace_id=evil, destination=PixelId(evil)),),
    )

    shown = page(status)

    assert not shown.attributes("img")
    assert not [name for _, found in shown.elements for name in found if name.startswith("on")]
    assert shown.text.count(evil) > 8


def test_nothing_personal_is_on_the_page_whoever_said_it() -> None:
    recent = RecentErrors()
    error = MetaError(400, 190, 463, EMAIL, f"{EMAIL} is wrong", EMAIL)
    recent.answered(SHOP, Refused(error))
    recent.answered(SHOP, Halted(HaltReason.TOKEN, error))
    halt = Halt(HaltReason.TOKEN, 190, 463, EMAIL, meaning_of(Halted(HaltReason.TOKEN, error)))
    status = a_status(
        destinations=(a_destination(name=EMAIL, state=OutboxState.HALTED, halt=halt),),
        errors=recent.newest(NOW_MS),
    )

    markup = status_page(status, now_ms=NOW_MS, refreshing=True).decode()

    assert "canary" not in markup
    assert Page(markup).rows[1][0] == f"{SHOP} (masked)"


def test_the_page_asks_nobody_for_anything_and_runs_nothing() -> None:
    shown = page(in_trouble())

    assert {tag for tag, _ in shown.elements} & {"script", "link", "img", "iframe", "form"} == set()
    addresses = [found["href"] for _, found in shown.elements if "href" in found]
    assert addresses == ["/metrics", "/livez", "/readyz", "?refresh=no"]
    assert not [found for _, found in shown.elements if "style" in found or "src" in found]
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert "url(" not in status_page(in_trouble(), now_ms=NOW_MS, refreshing=True).decode()


def test_the_page_refreshes_itself_only_when_wanted() -> None:
    def refreshes(shown: Page) -> list[str]:
        return [each["content"] for each in shown.attributes("meta") if "http-equiv" in each]

    assert refreshes(page(a_status())) == ["10"]
    assert refreshes(page(a_status(), refreshing=False)) == []
    still = page(a_status(), refreshing=False).attributes("a")
    assert still[-1]["href"] == "/"


# --- legible ------------------------------------------------------------------------------------


def test_tables_can_be_read_aloud() -> None:
    shown = page(in_trouble())

    assert shown.attributes("html") == [{"lang": "en"}]
    assert "needs a look" in shown.text
    assert len(shown.attributes("caption")) == len(shown.attributes("table")) == 4
    assert {each["scope"] for each in shown.attributes("th")} == {"col", "row"}
    assert all(each["aria-label"] for each in shown.attributes("meter"))
    levels = [tag for tag, _ in shown.elements if tag in ("h1", "h2")]
    assert Counter(levels)["h1"] == 1
    assert levels[0] == "h1"


def contrast(one: str, other: str) -> float:
    """As WCAG 2 computes it."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(scheme: str) -> None:
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", scheme))
    behind = [(text, back) for text in ("text", "quiet", "link") for back in ("page", "card")]
    behind += [(kind, f"{kind}-card") for kind in ("good", "warn", "bad")]

    assert {pair: contrast(colours[pair[0]], colours[pair[1]]) >= 4.5 for pair in behind} == (
        dict.fromkeys(behind, True)
    )
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
