"""docker-compose.yml: sound, safe, ordered, and what it starts does start.

Docker is not needed. What compose would tell each service of ours is told to a process here, with
the names of the other services replaced by local addresses; what it would tell Kafka and the
registry is told to the real ones, where `make tools` has brought them.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from consumer.settings import load_settings
from tests.integration import Product, free_ports
from tests.python_tools import needed

ROOT = Path(__file__).parent.parent
COMPOSE_PATH = ROOT / "docker-compose.yml"
PAGE_PATH = ROOT / "docs" / "running.md"
PROMETHEUS_PATH = ROOT / "compose" / "prometheus.yml"
OURS = ("emulator", "consumer", "publisher")
HEADERS_BYTES = 16 * 1024
DAY_MS = 24 * 3600 * 1000
PATIENCE_SECONDS = 30.0


class Topic(NamedTuple):
    """What one call of kafka-topics.sh creates."""

    bootstrap: str
    name: str
    partitions: int
    replicas: int
    config: dict[str, str]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """Starts services of ours as processes, which end with the test."""
    product = Product(command=(sys.executable, "-m", "consumer"), folder=tmp_path)
    try:
        yield product
    finally:
        product.close()


def test_compose_itself_takes_the_file_with_every_profile(tmp_path: Path) -> None:
    compose = [*needed("docker-compose"), "--file", str(COMPOSE_PATH), "--profile", "*"]
    done = _run([*compose, "config", "--quiet"], env={"HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "")


def test_the_file_follows_the_compose_specification() -> None:
    check = [*needed("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = _run([*check, str(COMPOSE_PATH)], env={})
    assert done.returncode == 0, done.stdout


def test_every_image_has_a_version() -> None:
    images = {name: service["image"] for name, service in all_services().items()}
    unpinned = [name for name, image in images.items() if not re.search(r":(?!latest$)\S+$", image)]
    assert unpinned == []
    theirs = {image for name, image in images.items() if name not in OURS}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in theirs), theirs


def test_what_runs_is_what_the_other_tests_run_on() -> None:
    from tests.tools import APICURIO, KAFKA

    services = all_services()
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA.version}"
    assert services["topics"]["image"] == services["kafka"]["image"]
    assert services["registry"]["image"] == f"apicurio/apicurio-registry:{APICURIO.version}"


def test_ports_are_open_to_this_machine_alone_and_differ() -> None:
    ports = [port for service in all_services().values() for port in service.get("ports", [])]
    found = [re.fullmatch(r"127\.0\.0\.1:(\d+):\d+", port) for port in ports]
    assert all(found), ports
    numbers = [each[1] for each in found if each]
    assert len(numbers) == len(set(numbers)) == 4


def test_the_consumer_can_be_scaled() -> None:
    consumer = all_services()["consumer"]
    assert not {"ports", "container_name"} & consumer.keys()
    assert not [name for name, each in all_services().items() if "container_name" in each]


def test_every_mounted_path_exists_and_every_volume_has_a_name() -> None:
    compose = _compose()
    mounts = [mount for each in compose["services"].values() for mount in each.get("volumes", [])]
    sources = [mount.split(":")[0] for mount in mounts]
    paths = [source for source in sources if source.startswith(".")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert set(sources) - set(paths) == set(compose["volumes"])


def test_nothing_is_taken_from_the_environment_of_whoever_starts_it() -> None:
    """Else a token that somebody has exported would go to the emulator, or an event to Meta."""
    text = COMPOSE_PATH.read_text(encoding="utf-8").replace("$$", "")
    assert "$" not in text
    assert not [name for name, each in all_services().items() if "env_file" in each]


def test_no_secret_stands_in_the_file() -> None:
    secret = re.compile("TOKEN|SECRET|PASSWORD|CREDENTIAL|JAAS|USER_INFO")
    found = {
        variable: value
        for service in all_services().values()
        for variable, value in service.get("environment", {}).items()
        if secret.search(variable)
    }
    assert found == {"CONVERSIONS_ACCESS_TOKEN": "token-for-the-emulator"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_may_do_nothing_that_it_need_not(name: str) -> None:
    service = all_services()[name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & service.keys()
    assert (service["build"], service["pull_policy"]) == (".", "build")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_a_service_of_ours_is_a_setting(name: str) -> None:
    settings = load_settings(environment_of(name))
    if name == "consumer":
        settings.require_kafka()
        settings.require_destinations()


@pytest.mark.parametrize("name", ["consumer", "publisher", "registry"])
def test_a_service_starts_after_those_that_it_talks_to(name: str) -> None:
    services = all_services()
    before = _before(name)
    for host, port in _addresses(environment_of(name)):
        assert host in before, f"{name} does not wait for {host}"
        assert port in _listening(host, services), f"{host} does not listen on {port}"


def test_a_service_waits_for_what_will_happen() -> None:
    """A one-shot service is never healthy, and one that stays never completes."""
    services = all_services()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "completed_successfully" if other == "topics" else "healthy"
            assert how == {"condition": f"service_{wanted}"}, f"{name} on {other}"
            assert wanted != "healthy" or "healthcheck" in services[other], other


def test_a_drain_is_not_cut_short() -> None:
    settings = load_settings(environment_of("consumer"))
    seconds = all_services()["consumer"]["stop_grace_period"].removesuffix("s")
    assert float(seconds) > settings.grace_seconds + settings.request_timeout_seconds


def test_the_topics_are_the_consumers_and_fit_for_dead_letters(tmp_path: Path) -> None:
    settings = load_settings(environment_of("consumer"))
    source, letters = asked_topics(tmp_path)
    assert (source.name, letters.name) == (settings.topic, settings.dlq_topic)
    assert (source.partitions, source.replicas, letters.replicas) == (6, 1, 1)
    assert {source.bootstrap, letters.bootstrap} == {"kafka:19092"}
    assert letters.config["cleanup.policy"] == source.config["cleanup.policy"] == "delete"
    assert int(source.config["retention.ms"]) >= 7 * DAY_MS
    assert int(letters.config["retention.ms"]) == 30 * DAY_MS
    event_max = int(source.config["max.message.bytes"])
    assert int(letters.config["max.message.bytes"]) > event_max + HEADERS_BYTES


def test_prometheus_finds_every_replica_of_the_consumer() -> None:
    prometheus = yaml.safe_load(PROMETHEUS_PATH.read_text(encoding="utf-8"))
    (job,) = prometheus["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    settings = load_settings(environment_of("consumer"))
    assert job["job_name"] == "conversions-consumer"
    assert (discovery["names"], discovery["type"]) == (["consumer"], "A")
    assert discovery["port"] == settings.metrics_port
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - inside the container
    assert "metrics_path" not in job
    mount = "./compose/prometheus.yml:/etc/prometheus/prometheus.yml:ro"
    assert mount in all_services()["prometheus"]["volumes"]
    rules = "./helm/files/alerts.yaml:/etc/prometheus/alerts.yaml:ro"
    assert rules in all_services()["prometheus"]["volumes"]
    assert prometheus["rule_files"] == ["alerts.yaml"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in _command("prometheus")


def test_the_emulator_starts_and_its_health_check_tells(product: Product) -> None:
    port, closed = free_ports(2)
    emulator = product.run(*_locally(_command("emulator"), port), env={})
    emulator.wait_for_line(f"http://127.0.0.1:{port}", PATIENCE_SECONDS)
    assert health_check("emulator", {"8080": str(port)}) == 0
    assert health_check("emulator", {"8080": str(closed)}) != 0
    emulator.terminate()
    assert emulator.wait(PATIENCE_SECONDS) == 0


def test_the_consumer_starts_lives_and_ends_well_while_kafka_is_down(product: Product) -> None:
    closed, port = free_ports(2)
    environment = {
        name: on_this_host(value, {"kafka": closed, "registry": closed, "emulator": closed})
        for name, value in environment_of("consumer").items()
    }
    # The port of its own that a container has, so that a consumer which runs here does not matter.
    environment |= {"CONVERSIONS_METRICS_HOST": "127.0.0.1", "CONVERSIONS_METRICS_PORT": str(port)}
    consumer = product.run(*_command("consumer"), env=environment)
    consumer.wait_for_line('"consuming"', PATIENCE_SECONDS)
    assert _status(port, "livez") == 200
    assert _status(port, "readyz") == 503
    assert _status(port, "metrics") == 200
    consumer.terminate()
    assert consumer.wait(PATIENCE_SECONDS) == 0
    assert environment_of("consumer")["CONVERSIONS_ACCESS_TOKEN"] not in consumer.output()


def test_the_publisher_starts_and_says_what_is_wrong_while_kafka_is_down(tmp_path: Path) -> None:
    (closed,) = free_ports(1)
    environment = {
        name: on_this_host(value, {"kafka": closed, "registry": closed})
        for name, value in environment_of("publisher").items()
    }
    command = [sys.executable, "-m", "consumer", *_command("publisher")]
    done = _run(command, env=environment, told=b'{"eventName": 17}\n', cwd=tmp_path)
    assert done.returncode in (1, 2), done.stdout
    assert "No such" not in done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.strip()


def _compose() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load(COMPOSE_PATH.read_text(encoding="utf-8"))
    return compose


def test_the_page_says_which_ports_are_open() -> None:
    page = PAGE_PATH.read_text(encoding="utf-8")
    told = re.findall(r"^\| `(127\.0\.0\.1:\d+)` \|", page, re.MULTILINE)
    ports = [port for service in all_services().values() for port in service.get("ports", [])]
    assert sorted(told) == sorted(port.rsplit(":", 1)[0] for port in ports)


def test_the_commands_of_the_page_name_services_that_exist() -> None:
    page = PAGE_PATH.read_text(encoding="utf-8")
    lines = re.findall(r"^\$ docker compose (.+?)(?: [<#].*)?$", page, re.MULTILINE)
    named = {word for line in lines for word in line.split()[1:] if not word.startswith("-")}
    assert {"consumer", "publisher"} <= named
    assert named - {"consumer=3"} <= all_services().keys()


def test_the_pages_way_to_a_real_pixel_works(tmp_path: Path) -> None:
    compose = needed("docker-compose")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE_PATH.read_text("utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if block.startswith("services:")]
    override, token = tmp_path / "override.yml", tmp_path / "access_token.txt"
    override.write_text(block, encoding="utf-8")
    token.write_text("a-token-of-a-test\n", encoding="utf-8")
    files = ["--file", str(COMPOSE_PATH), "--file", str(override)]
    done = _run([*compose, *files, "config", "--format", "json"], env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout
    consumer = json.loads(done.stdout)["services"]["consumer"]
    environment = consumer["environment"]
    (secret,) = consumer["secrets"]
    assert environment["CONVERSIONS_ACCESS_TOKEN_FILE"] == secret["target"]
    settings = load_settings(environment | {"CONVERSIONS_ACCESS_TOKEN_FILE": str(token)})
    settings.require_destinations()
    assert settings.graph_url == "https://graph.facebook.com"


def all_services() -> dict[str, Any]:
    """What the file says of each service, by name."""
    services: dict[str, Any] = _compose()["services"]
    return services


def environment_of(name: str) -> dict[str, str]:
    """The environment that compose gives to a service."""
    return {key: str(value) for key, value in all_services()[name].get("environment", {}).items()}


def _command(name: str) -> list[str]:
    return [str(word).replace("$$", "$") for word in all_services()[name]["command"]]


def _before(name: str) -> set[str]:
    """The services that are waited for before this one starts."""
    direct = set(all_services()[name].get("depends_on", {}))
    return direct.union(*(_before(other) for other in direct))


def _addresses(environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The other services that an environment names, with the port."""
    names = all_services().keys()
    for value in environment.values():
        parts = urlsplit(value if "://" in value else f"//{value}")
        if parts.hostname in names:
            yield parts.hostname, parts.port or 80


def _listening(name: str, services: Mapping[str, Any]) -> set[int]:
    """The ports of a service inside compose's network."""
    published = {int(port.rsplit(":", 1)[1]) for port in services[name].get("ports", [])}
    listeners = environment_of(name).get("KAFKA_LISTENERS", "")
    return published | {int(port) for port in re.findall(r"://:(\d+)", listeners)}


def asked_topics(folder: Path) -> list[Topic]:
    """What the one-shot service asks for: its own script, run with a stand-in for Kafka's."""
    asked = folder / "asked"
    stand_in = folder / "kafka-topics.sh"
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {shlex.quote(str(asked))}\n')
    stand_in.chmod(0o700)
    service = all_services()["topics"]
    (script,) = _command("topics")
    calls = script.replace("/opt/kafka/bin/kafka-topics.sh", shlex.quote(str(stand_in)))
    assert calls != script
    done = _run([*service["entrypoint"], calls], env={})
    assert done.returncode == 0, done.stdout
    return [_topic(shlex.split(line)) for line in asked.read_text().splitlines()]


def _topic(words: list[str]) -> Topic:
    assert {"--create", "--if-not-exists"} <= set(words)
    after = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("--")}
    config = [words[at + 1] for at, word in enumerate(words) if word == "--config"]
    return Topic(
        bootstrap=after["--bootstrap-server"],
        name=after["--topic"],
        partitions=int(after["--partitions"]),
        replicas=int(after["--replication-factor"]),
        config=dict(pair.split("=", 1) for pair in config),
    )


def health_check(name: str, replaced: Mapping[str, str]) -> int:
    """Run a service's health check here; returns its exit code."""
    kind, *command = all_services()[name]["healthcheck"]["test"]
    assert kind == "CMD"
    words = [str(word).replace("$$", "$") for word in command]
    for old, new in replaced.items():
        assert any(old in word for word in words)
        words = [word.replace(old, new) for word in words]
    return _run(
        [sys.executable if words[0] == "python" else words[0], *words[1:]], env={}
    ).returncode


def _locally(command: list[str], port: int) -> list[str]:
    replaced = {"0.0.0.0": "127.0.0.1", "8080": str(port)}  # noqa: S104 - what we replace
    assert replaced.keys() <= set(command)
    return [replaced.get(word, word) for word in command]


def on_this_host(value: str, ports: Mapping[str, int]) -> str:
    """A value with the addresses of other services replaced by ports of this host."""
    for host, port in ports.items():
        value = re.sub(rf"\b{host}:\d+", f"127.0.0.1:{port}", value)
    return value


def _status(port: int, path: str) -> int:
    address = f"http://127.0.0.1:{port}/{path}"
    return httpx.get(address, timeout=5.0, trust_env=False).status_code


def _run(
    command: list[str], *, env: Mapping[str, str], told: bytes = b"", cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run to the end, with nothing of our environment but PATH; both outputs are in ``stdout``."""
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env},
        cwd=cwd,
        input=told.decode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
