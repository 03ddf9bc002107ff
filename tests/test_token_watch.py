"""The running consumer's look at its access tokens: who asks, when, and what the gauges show."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from consumer.emulator import Emulator
from consumer.inquiries import Heard
from consumer.journal import Journal
from consumer.member import Member
from consumer.metrics import Metrics
from consumer.model import PixelId
from consumer.pixel_figures import Unreadable
from consumer.settings import Settings, load_settings
from consumer.token_state import TokenState
from consumer.token_watch import TokenWatch
from consumer.tracing import Untraced
from tests.emulated import (
    OTHER_PIXEL,
    OTHER_TOKEN,
    PIXEL,
    TOKEN,
    Clock,
    control,
    serving,
    stats,
)
from tests.fakes.house import Lines

SHOP, CRM = PixelId("1111"), PixelId("2222")
OLD, NEW = SecretStr("old-token-canary"), SecretStr("new-token-canary")
EVERY_SECONDS = 3600.0
PATIENCE_SECONDS = 60.0
DAY = 86_400
VALID = TokenState(is_valid=True, expires_at=None)
ENDING = TokenState(is_valid=True, expires_at=1_900_000_000.0)
INVALID = TokenState(is_valid=False, expires_at=None)
UNTOLD = Unreadable("Meta does not tell this token about itself", by_question=False)
Answer = TokenState | Unreadable


class FakeAsking:
    """Keeps what it is asked, until a test says what Meta answers."""

    def __init__(self) -> None:
        self.rounds: list[list[SecretStr]] = []
        self._heard: list[Heard[SecretStr, TokenState]] = []

    def submit(self, questions: Iterable[SecretStr]) -> None:
        self.rounds.append(list(questions))

    def answers(self) -> list[Heard[SecretStr, TokenState]]:
        heard, self._heard = self._heard, []
        return heard

    def answer(self, token: SecretStr, answer: Answer) -> None:
        self._heard.append(Heard(token, answer))


class House:
    """A watch with everything around it in memory."""

    def __init__(self) -> None:
        self.asking = FakeAsking()
        self.lines = Lines()
        self.registry = CollectorRegistry()
        metrics = Metrics(registry=self.registry, version="0", graph_version="v0")
        self.tokens = {SHOP: OLD, CRM: OLD}
        self.now = 1000.0
        self.watch = TokenWatch(
            asking=self.asking,
            every_seconds=EVERY_SECONDS,
            token_of=self.tokens.get,
            journal=Journal(metrics=metrics, log=self.lines, traces=Untraced()),
        )

    def turn(self, seconds: float = 0.0, *, ours: bool = True) -> None:
        self.now += seconds
        self.watch.turn(self.now, ours=ours, destinations=[SHOP, CRM])

    def answered(self, token: SecretStr, answer: Answer, *, ours: bool = True) -> None:
        self.asking.answer(token, answer)
        self.turn(1, ours=ours)

    def valid(self, destination: PixelId) -> float | None:
        name = "conversions_access_token_valid"
        return self.registry.get_sample_value(name, {"destination": destination})

    def expiry(self, destination: PixelId) -> float | None:
        name = "conversions_access_token_expiry_timestamp_seconds"
        return self.registry.get_sample_value(name, {"destination": destination})

    @property
    def failures(self) -> float | None:
        return self.registry.get_sample_value("conversions_token_check_failures_total")


def test_a_token_is_asked_once_and_shown_for_all_who_use_it() -> None:
    house = House()
    house.turn()
    assert house.asking.rounds == [[OLD]]
    assert (house.valid(SHOP), house.expiry(SHOP)) == (None, None)

    house.answered(OLD, ENDING)

    assert (house.valid(SHOP), house.valid(CRM)) == (1, 1)
    assert (house.expiry(SHOP), house.expiry(CRM)) == (1_900_000_000, 1_900_000_000)


def test_an_invalid_token_is_zero_and_a_token_without_an_end_has_no_expiry() -> None:
    house = House()
    house.tokens[CRM] = NEW
    house.turn()
    house.asking.answer(OLD, INVALID)
    house.answered(NEW, VALID)

    assert (house.valid(SHOP), house.valid(CRM)) == (0, 1)
    assert (house.expiry(SHOP), house.expiry(CRM)) == (None, None)


def test_failures_stand_at_zero_from_the_start() -> None:
    assert House().failures == 0


def test_each_token_is_asked_again_after_its_time() -> None:
    house = House()
    house.turn()
    house.answered(OLD, VALID)
    house.turn(EVERY_SECONDS - 2)
    assert len(house.asking.rounds) == 1

    house.turn(1)

    assert house.asking.rounds == [[OLD], [OLD]]


def test_a_new_token_is_asked_at_once_and_what_was_known_of_the_old_one_goes() -> None:
    house = House()
    house.turn()
    house.answered(OLD, INVALID)
    house.tokens[SHOP] = NEW

    house.turn(1)
    assert house.asking.rounds == [[OLD], [NEW]]
    assert (house.valid(SHOP), house.valid(CRM)) == (None, 0)

    house.answered(NEW, VALID)
    assert (house.valid(SHOP), house.valid(CRM)) == (1, 0)


def test_an_answer_about_a_token_that_was_replaced_meanwhile_is_nobody_s() -> None:
    house = House()
    house.turn()
    house.tokens.update({SHOP: NEW, CRM: NEW})

    house.answered(OLD, INVALID)

    assert house.valid(SHOP) is None
    assert house.lines.named("Meta calls the access token invalid") == []
    assert house.asking.rounds == [[OLD], [NEW]]


def test_a_destination_without_a_token_asks_nothing_and_shows_nothing() -> None:
    house = House()
    del house.tokens[CRM]
    house.turn()
    house.answered(OLD, VALID)

    assert (house.valid(SHOP), house.valid(CRM)) == (1, None)


def test_only_the_owner_of_partition_zero_asks_and_shows() -> None:
    house = House()
    house.turn(ours=False)
    assert house.asking.rounds == []

    house.turn()
    house.answered(OLD, ENDING)
    house.turn(1, ours=False)
    assert (house.valid(SHOP), house.expiry(SHOP)) == (None, None)

    house.turn(1)
    assert house.valid(SHOP) == 1, "what is still known need not be asked again"
    assert len(house.asking.rounds) == 1


def test_what_is_no_verdict_shows_nothing_and_is_counted_each_time_and_logged_when_new() -> None:
    house = House()
    for answer in (UNTOLD, UNTOLD, VALID, UNTOLD):
        house.turn(EVERY_SECONDS)
        house.answered(OLD, answer)
        assert house.valid(SHOP) == (None if house.failures in (1, 2) and answer is UNTOLD else 1)

    logged = house.lines.named("the state of the access token cannot be read")
    assert logged == [{"destination": each, "why": UNTOLD.why} for each in (SHOP, CRM)] * 2
    again = house.lines.named("the state of the access token can be read again")
    assert again == [{"destination": each, "repeated": 1} for each in (SHOP, CRM)]
    assert house.failures == 3, "one for each question, however many use the token"


def test_a_verdict_goes_when_three_checks_brought_no_other() -> None:
    house = House()
    house.turn()
    house.answered(OLD, ENDING)
    for _ in range(3):
        house.turn(EVERY_SECONDS - 1)
        house.asking.answer(OLD, UNTOLD)
        house.turn()

    assert house.expiry(SHOP) == 1_900_000_000
    house.turn(1 + 3)
    assert (house.valid(SHOP), house.expiry(SHOP)) == (None, None)


def test_an_invalid_token_is_an_error_once_until_it_is_valid_again() -> None:
    house = House()
    for answer in (INVALID, INVALID, UNTOLD, INVALID, VALID, INVALID):
        house.turn(EVERY_SECONDS)
        house.answered(OLD, answer)

    users = [{"destination": SHOP}, {"destination": CRM}]
    assert house.lines.named("Meta calls the access token invalid") == users * 2
    assert house.lines.named("Meta calls the access token valid again") == users
    assert "canary" not in str(house.lines.lines)


# --- in a running member ------------------------------------------------------------------------


class Running:
    """A member of a group of one, on brokers that live inside this process."""

    def __init__(self, settings: Settings, lines: Lines) -> None:
        self.lines = lines
        self.member = Member(settings, log=lines)
        self._thread = threading.Thread(target=self.member.run)

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.member.stop()
        self._thread.join()

    def until_exposed(self, *series: str) -> str:
        """All metrics, as soon as these are among them."""
        until = monotonic() + PATIENCE_SECONDS
        exposed = ""
        while not all(each in exposed for each in series):
            assert monotonic() < until, f"{series} do not appear"
            threading.Event().wait(0.1)
            exposed = httpx.get(f"{self.member.address}/metrics").text
        return exposed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[Emulator]:
    with serving(clock) as emulator:
        yield emulator


@pytest.fixture
def broker() -> Iterator[str]:
    cluster = Producer({"test.mock.num.brokers": "1", "log_level": 0})
    found = next(iter(cluster.list_topics("conversions.events", timeout=10).brokers.values()))
    yield f"{found.host}:{found.port}"
    # It lives as long as its client does.
    del cluster


def settings(folder: Path, broker: str, graph_url: str, **more: str) -> Settings:
    shop, crm = folder / "shop", folder / "crm"
    shop.write_text(TOKEN)
    crm.write_text(OTHER_TOKEN)
    destinations = folder / "destinations.yaml"
    destinations.write_text(
        f"- {{id: {PIXEL}, accessTokenFile: shop}}\n- {{id: {OTHER_PIXEL}, accessTokenFile: crm}}\n"
    )
    return load_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": broker,
            "KAFKA_LOG__LEVEL": "0",
            "CONVERSIONS_DESTINATIONS_FILE": str(destinations),
            "CONVERSIONS_GRAPH_URL": graph_url,
            "CONVERSIONS_METRICS_PORT": "0",
            **more,
        }
    )


def valid(pixel: str, value: int) -> str:
    return f'conversions_access_token_valid{{destination="{pixel}"}} {value}.0'


def test_a_running_member_shows_its_tokens_and_asks_for_a_changed_one_at_once(
    tmp_path: Path, broker: str, emulator: Emulator, clock: Clock
) -> None:
    ends_at = int(clock.now) + DAY
    with httpx.Client(base_url=emulator.url) as graph:
        control(graph, "expiry", {"token": TOKEN, "expires_at": ends_at})
        control(graph, "revoke", {"token": OTHER_TOKEN})
        found = settings(tmp_path, broker, emulator.url)
        with Running(found, Lines()) as running:
            exposed = running.until_exposed(valid(PIXEL, 1), valid(OTHER_PIXEL, 0))
            expiry = "conversions_access_token_expiry_timestamp_seconds{destination="
            (line,) = [each for each in exposed.splitlines() if each.startswith(expiry)]
            assert line.startswith(f'{expiry}"{PIXEL}"}}')
            assert float(line.split()[-1]) == ends_at

            (tmp_path / "crm").write_text(TOKEN)
            running.until_exposed(valid(PIXEL, 1), valid(OTHER_PIXEL, 1))

        again = running.lines.named("Meta calls the access token valid again")
        assert again == [{"destination": OTHER_PIXEL}]
        assert stats(graph)["tokens_in_url"] == 0
    told = f"{exposed}{running.lines.lines}"
    assert TOKEN not in told
    assert OTHER_TOKEN not in told


def test_switched_off_no_thread_asks(tmp_path: Path, broker: str, emulator: Emulator) -> None:
    off = {"CONVERSIONS_TOKEN_CHECK_SECONDS": "0"}
    with Running(settings(tmp_path, broker, emulator.url, **off), Lines()) as running:
        running.until_exposed("conversions_kafka_assigned_partitions 4.0")
        threads = {each.name for each in threading.enumerate()}

    assert threads.isdisjoint({"tokens", "quality"})
