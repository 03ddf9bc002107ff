"""Which client is given which user and password, and when."""

from pathlib import Path

import pytest

from consumer.kafka_credentials import KafkaCredentials
from consumer.kafka_settings import Client
from consumer.settings import load_settings

FIRST = {"KAFKA_SASL_USERNAME": "shop", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}


class Taker:
    """A client that remembers what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []

    def set_credentials(self, username: str, password: str) -> None:
        self.given.append((username, password))


class Clients:
    """Two clients of the consumer's kind and one producer, with credentials from ``environ``."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.source, self.log_ends, self.dead_letters = Taker(), Taker(), Taker()
        self.credentials = KafkaCredentials(
            settings=load_settings(environ),
            clients={
                Client.CONSUMER: (self.source, self.log_ends),
                Client.PRODUCER: (self.dead_letters,),
            },
        )

    @property
    def given(self) -> list[list[tuple[str, str]]]:
        return [self.source.given, self.log_ends.given, self.dead_letters.given]


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("first\n")
    return path


def test_what_the_clients_were_made_with_is_not_passed_on(password: Path) -> None:
    clients = Clients({**FIRST, "KAFKA_SASL_PASSWORD_FILE": str(password)})

    assert not clients.credentials.pass_on()
    assert clients.given == [[], [], []]


def test_a_password_that_changed_goes_to_every_client_once(password: Path) -> None:
    clients = Clients({**FIRST, "KAFKA_SASL_PASSWORD_FILE": str(password)})
    replace(password, "second\n")

    assert clients.credentials.pass_on()
    assert not clients.credentials.pass_on()
    assert clients.given == [[("shop", "second")]] * 3


def test_a_change_between_reading_the_settings_and_the_first_look_is_seen(password: Path) -> None:
    environ = {**FIRST, "KAFKA_SASL_PASSWORD_FILE": str(password)}
    settings = load_settings(environ)
    replace(password, "second\n")
    taker = Taker()
    credentials = KafkaCredentials(settings=settings, clients={Client.CONSUMER: (taker,)})

    assert credentials.pass_on()
    assert taker.given == [("shop", "second")]


def test_a_user_that_changed_goes_to_every_client(password: Path, tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.write_text("shop")
    clients = Clients(
        {"KAFKA_SASL_USERNAME_FILE": str(user), "KAFKA_SASL_PASSWORD_FILE": str(password)}
    )
    replace(user, "warehouse")

    assert clients.credentials.pass_on()
    assert clients.given == [[("warehouse", "first")]] * 3


def test_a_client_with_a_password_of_its_own_is_given_that_one_only(
    password: Path, tmp_path: Path
) -> None:
    own = tmp_path / "of-the-producer"
    own.write_text("own")
    clients = Clients(
        {
            **FIRST,
            "KAFKA_SASL_PASSWORD_FILE": str(password),
            "KAFKA_PRODUCER_SASL_PASSWORD_FILE": str(own),
        }
    )
    replace(password, "second")

    assert clients.credentials.pass_on()
    assert clients.given == [[("shop", "second")], [("shop", "second")], []]

    replace(own, "own-second")

    assert clients.credentials.pass_on()
    assert clients.given == [[("shop", "second")], [("shop", "second")], [("shop", "own-second")]]


@pytest.mark.parametrize("content", ["", None])
def test_a_file_that_is_empty_or_gone_changes_nothing(password: Path, content: str | None) -> None:
    clients = Clients({**FIRST, "KAFKA_SASL_PASSWORD_FILE": str(password)})
    if content is None:
        password.unlink()
    else:
        replace(password, content)

    assert not clients.credentials.pass_on()
    assert clients.given == [[], [], []]


@pytest.mark.parametrize(
    "environ",
    [
        {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"},
        {"KAFKA_SASL_USERNAME": "shop"},
        {"KAFKA_SASL_USERNAME": "shop", "KAFKA_SASL_PASSWORD": "first"},
    ],
)
def test_without_files_nothing_is_ever_passed_on(environ: dict[str, str]) -> None:
    clients = Clients(environ)

    assert not clients.credentials.pass_on()
    assert clients.given == [[], [], []]


def test_the_password_is_in_no_repr(password: Path) -> None:
    clients = Clients({**FIRST, "KAFKA_SASL_PASSWORD_FILE": str(password)})
    replace(password, "second")
    clients.credentials.pass_on()

    shown = f"{clients.credentials!r} {vars(clients.credentials)!r}"

    assert "first" not in shown
    assert "second" not in shown


def replace(path: Path, text: str) -> None:
    """As Kubernetes and good editors do it: the file is replaced as a whole."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)
