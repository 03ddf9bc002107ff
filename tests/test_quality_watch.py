"""The running consumer's look at Event Match Quality: who asks, when, and what the gauges show."""

import threading
from collections.abc import Callable, Iterable
from time import monotonic

import httpx
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from consumer.inquiries import Heard, Inquiries
from consumer.journal import Journal
from consumer.member import Member
from consumer.metrics import Metrics
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.quality import EventQuality, read_quality
from consumer.quality_watch import Figures, QualityWatch
from consumer.settings import load_settings
from consumer.tracing import Untraced
from tests.fakes.graph import PIXEL, QUALITY
from tests.fakes.house import Lines
from tests.fakes.http_server import Answer, FakeServer

SHOP, CRM = PixelId("1111"), PixelId("2222")
EVERY_SECONDS = 600.0
Quality = Figures | Unreadable
Answered = Heard[PixelId, Figures]
PATIENCE_SECONDS = 30.0
REFUSED = Unreadable("the token may be able to send, but not to read", by_question=False)


def figures(destination: PixelId, score: float) -> tuple[EventQuality, ...]:
    quality = {
        "composite_score": score,
        "match_key_feedback": [{"identifier": "email", "coverage": {"percentage": 71}}],
    }
    web = [{"event_name": "Lead", "event_match_quality": quality}]
    found = read_quality(destination, {"web": web})
    assert found
    return found


class FakeAsking:
    """Keeps what it is asked, until a test says what Meta answers."""

    def __init__(self) -> None:
        self.rounds: list[list[PixelId]] = []
        self._heard: list[Answered] = []

    def submit(self, destinations: Iterable[PixelId]) -> None:
        self.rounds.append(list(destinations))

    def answers(self) -> list[Answered]:
        heard, self._heard = self._heard, []
        return heard

    def answer(self, **answers: Quality) -> None:
        self._heard += [Heard(PixelId(name[1:]), quality) for name, quality in answers.items()]


class House:
    """A watch with everything around it in memory."""

    def __init__(self) -> None:
        self.asking = FakeAsking()
        self.lines = Lines()
        self.registry = CollectorRegistry()
        metrics = Metrics(registry=self.registry, version="0", graph_version="v0")
        journal = Journal(metrics=metrics, log=self.lines, traces=Untraced())
        self.destinations = [SHOP, CRM]
        self.now = 1000.0
        self.watch = QualityWatch(asking=self.asking, every_seconds=EVERY_SECONDS, journal=journal)

    def turn(self, seconds: float = 0.0, *, ours: bool = True) -> None:
        self.now += seconds
        self.watch.turn(self.now, ours=ours, destinations=self.destinations)

    def score(self, destination: PixelId) -> float | None:
        labels = {"destination": destination, "event_name": "Lead"}
        return self.registry.get_sample_value("conversions_event_match_quality_score", labels)

    def coverage(self, destination: PixelId) -> float | None:
        labels = {"destination": destination, "match_key": "em"}
        return self.registry.get_sample_value("conversions_meta_match_key_coverage_ratio", labels)

    @property
    def failures(self) -> float | None:
        return self.registry.get_sample_value("conversions_quality_failures_total")


def test_gauges_appear_with_the_answer_and_are_replaced_by_the_next() -> None:
    house = House()
    house.turn()
    assert house.asking.rounds == [[SHOP, CRM]]
    assert house.score(SHOP) is None

    house.asking.answer(_1111=figures(SHOP, 6.2), _2222=figures(CRM, 3.0))
    house.turn(1)
    assert (house.score(SHOP), house.score(CRM), house.coverage(SHOP)) == (6.2, 3.0, 0.71)

    house.turn(EVERY_SECONDS)
    house.asking.answer(_1111=figures(SHOP, 7.0), _2222=())
    house.turn(1)
    assert (house.score(SHOP), house.score(CRM), house.coverage(CRM)) == (7.0, None, None)


def test_meta_is_asked_once_each_refresh_and_not_while_an_answer_is_missing() -> None:
    house = House()
    house.turn()
    house.turn(EVERY_SECONDS - 1)
    assert len(house.asking.rounds) == 1

    house.asking.answer(_1111=figures(SHOP, 6.2))
    house.turn(EVERY_SECONDS)
    assert len(house.asking.rounds) == 1

    house.asking.answer(_2222=REFUSED)
    house.turn(1)
    assert len(house.asking.rounds) == 2


def test_only_the_owner_of_partition_zero_asks_and_shows() -> None:
    house = House()
    house.turn(ours=False)
    assert house.asking.rounds == []

    house.turn()
    house.asking.answer(_1111=figures(SHOP, 6.2), _2222=figures(CRM, 3.0))
    house.turn(1)
    house.turn(1, ours=False)
    assert house.score(SHOP) is None
    assert house.coverage(SHOP) is None

    house.turn(1)
    assert house.score(SHOP) == 6.2, "what is still known need not be asked again"
    assert len(house.asking.rounds) == 1


def test_an_answer_after_the_partition_has_left_is_not_shown() -> None:
    house = House()
    house.turn()
    house.asking.answer(_1111=figures(SHOP, 6.2), _2222=REFUSED)

    house.turn(1, ours=False)

    assert house.score(SHOP) is None


def test_gauges_go_when_three_refreshes_brought_nothing() -> None:
    house = House()
    house.turn()
    house.asking.answer(_1111=figures(SHOP, 6.2), _2222=figures(CRM, 3.0))
    house.turn()
    for _ in range(3):
        house.turn(EVERY_SECONDS)
        assert house.score(CRM) == 3.0
        house.asking.answer(_1111=figures(SHOP, 6.2), _2222=REFUSED)
        house.turn()

    house.turn(1)

    assert (house.score(SHOP), house.score(CRM)) == (6.2, None)


def test_a_destination_that_is_no_longer_configured_has_no_gauges() -> None:
    house = House()
    house.turn()
    house.asking.answer(_1111=figures(SHOP, 6.2), _2222=figures(CRM, 3.0))
    house.turn()
    house.destinations = [SHOP]

    house.turn(1)

    assert (house.score(SHOP), house.score(CRM)) == (6.2, None)


def test_a_refusal_is_counted_each_time_and_logged_when_it_is_new() -> None:
    house = House()
    for answer in (REFUSED, REFUSED, figures(SHOP, 6.2), REFUSED):
        house.turn(EVERY_SECONDS)
        house.asking.answer(_1111=answer, _2222=figures(CRM, 3.0))
        house.turn()

    logged = house.lines.named("Event Match Quality cannot be read")
    assert logged == [{"destination": SHOP, "why": REFUSED.why}] * 2
    assert house.failures == 3


def test_a_new_destination_is_asked_at_once_and_the_others_in_their_time() -> None:
    house = House()
    house.destinations = [SHOP]
    house.turn()
    house.asking.answer(_1111=figures(SHOP, 6.2))
    house.destinations = [SHOP, CRM]

    house.turn(1)

    assert house.asking.rounds == [[SHOP], [CRM]]


# --- the thread that asks -----------------------------------------------------------------------


def asked(ask: Callable[[PixelId], Quality], *destinations: PixelId) -> list[Answered]:
    """What a thread hears that is stopped only after its last answer."""
    ended = threading.Event()
    inquiries = Inquiries(name="quality", ask=ask, close=ended.set)
    inquiries.submit(destinations)
    inquiries.submit([PixelId("last")])
    heard: list[Answered] = []
    inquiries.start()
    until = monotonic() + PATIENCE_SECONDS
    while not any(each.question == "last" for each in heard):
        assert monotonic() < until, "an answer is missing"
        heard += inquiries.answers()
    inquiries.stop()
    assert ended.wait(10), "the edge is closed by the thread that uses it"
    return heard[:-1]


def test_each_question_has_its_answer_in_order_from_another_thread() -> None:
    threads: set[str] = set()

    def ask(destination: PixelId) -> Quality:
        threads.add(threading.current_thread().name)
        return figures(destination, 5.0)

    heard = asked(ask, SHOP, CRM)

    assert heard == [Heard(SHOP, figures(SHOP, 5.0)), Heard(CRM, figures(CRM, 5.0))]
    assert threads == {"quality"}


def test_a_bug_while_asking_is_an_answer_and_does_not_end_the_thread() -> None:
    def ask(destination: PixelId) -> Quality:
        if destination == SHOP:
            raise ZeroDivisionError("canary")
        return ()

    first, second = asked(ask, SHOP, CRM)

    assert first.answer == Unreadable("asking raised ZeroDivisionError", by_question=False)
    assert second.answer == ()


def test_stopping_leaves_what_was_not_asked_yet() -> None:
    ended = threading.Event()
    inquiries: Inquiries[PixelId, Figures] = Inquiries(
        name="quality", ask=lambda _: (), close=ended.set
    )
    inquiries.submit([SHOP, CRM])
    inquiries.stop()
    inquiries.start()

    assert ended.wait(10)
    assert inquiries.answers() == []


# --- in a running member ------------------------------------------------------------------------


def test_a_running_member_that_owns_partition_zero_shows_what_meta_has() -> None:
    cluster = Producer({"test.mock.num.brokers": "1", "log_level": 0})
    broker = next(iter(cluster.list_topics("conversions.events", timeout=10).brokers.values()))
    with FakeServer(lambda _: Answer(200, QUALITY)).serving() as graph:
        settings = load_settings(
            {
                "KAFKA_BOOTSTRAP_SERVERS": f"{broker.host}:{broker.port}",
                "KAFKA_LOG__LEVEL": "0",
                "CONVERSIONS_PIXEL_ID": PIXEL,
                "CONVERSIONS_ACCESS_TOKEN": "token-canary-5f0c",
                "CONVERSIONS_GRAPH_URL": graph.url,
                "CONVERSIONS_METRICS_PORT": "0",
                "CONVERSIONS_QUALITY_REFRESH_SECONDS": "600",
                "CONVERSIONS_TOKEN_CHECK_SECONDS": "0",
            }
        )
        lines = Lines()
        member = Member(settings, log=lines)
        running = threading.Thread(target=member.run)
        running.start()
        try:
            exposed = until_exposed(
                member,
                "conversions_kafka_assigned_partitions 4.0",
                "conversions_event_match_quality_score{",
            )
        finally:
            member.stop()
            running.join()

    labels = f'destination="{PIXEL}",event_name="Purchase"'
    assert f"conversions_event_match_quality_score{{{labels}}} 6.2" in exposed
    labels = f'destination="{PIXEL}",match_key="em"'
    assert f"conversions_meta_match_key_coverage_ratio{{{labels}}} 0.625" in exposed
    assert [asked.path for asked in graph.asked] == ["/v26.0/dataset_quality"]
    assert "canary" not in f"{graph.asked[0].line}{exposed}{lines.lines}"


def until_exposed(member: Member, *series: str) -> str:
    """All metrics, as soon as these are among them."""
    until = monotonic() + PATIENCE_SECONDS
    exposed = ""
    while not all(each in exposed for each in series):
        assert monotonic() < until, f"{series} do not appear"
        threading.Event().wait(0.1)
        exposed = httpx.get(f"{member.address}/metrics").text
    return exposed
