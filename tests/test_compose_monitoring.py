"""Prometheus and Alertmanager of docker-compose.yml: the real ones, with the files that it mounts.

And the health checks that ask over HTTP, also those of images that cannot be had here: they are run
against what a stand-in answers.
"""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from consumer.metric_contract import GROUPS
from consumer.model import HaltReason
from consumer.settings import load_settings
from tests.compose_file import (
    PAGE_PATH,
    ROOT,
    all_services,
    command_of,
    console_lines,
    environment_of,
    listening,
    mounts_of,
    replaced,
    run,
)
from tests.compose_processes import Alertmanager, checked, mounted, wait_until
from tests.debian_tools import needed
from tests.integration import free_ports

ALERTS = yaml.safe_load((ROOT / "helm" / "files" / "alerts.yaml").read_text(encoding="utf-8"))
ALERTMANAGER = yaml.safe_load((ROOT / "compose" / "alertmanager.yml").read_text(encoding="utf-8"))
JOB = "conversions-consumer"


def alert_rules() -> list[dict[str, Any]]:
    """The rules that ship and are alerts."""
    return [rule for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule]


# Prometheus


def test_prometheus_takes_what_compose_mounts(tmp_path: Path) -> None:
    promtool = needed("promtool")
    for inside, path in mounts_of("prometheus").items():
        assert Path(inside).parent == Path("/etc/prometheus")
        shutil.copy(path, tmp_path / Path(inside).name)
    (told,) = [word for word in command_of("prometheus") if word.startswith("--config.file=")]
    done = run([promtool, "check", "config", "--lint=all", str(tmp_path / Path(told).name)])
    assert done.returncode == 0, done.stdout
    assert f"{sum(len(group['rules']) for group in ALERTS['groups'])} rules found" in done.stdout


def test_prometheus_finds_every_replica_of_the_consumer() -> None:
    (job,) = mounted("prometheus", "/etc/prometheus/prometheus.yml")["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    settings = load_settings(environment_of("consumer"))
    assert job["job_name"] == JOB
    assert (discovery["names"], discovery["type"]) == (["consumer"], "A")
    assert discovery["port"] == settings.metrics_port
    assert settings.metrics_host == "0.0.0.0"  # noqa: S104 - inside the container
    assert "metrics_path" not in job


def test_prometheus_tells_alertmanager() -> None:
    config = mounted("prometheus", "/etc/prometheus/prometheus.yml")
    (manager,) = config["alerting"]["alertmanagers"]
    (static,) = manager["static_configs"]
    host, port = static["targets"][0].split(":")
    assert host in all_services()["prometheus"]["depends_on"]
    assert int(port) in listening(host)


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_the_links_in_a_notification_lead_to_this_machine(name: str) -> None:
    (port,) = [port.rsplit(":", 1)[0] for port in all_services()[name]["ports"]]
    assert f"--web.external-url=http://{port}" in command_of(name)


# Alertmanager


class Inhibition(NamedTuple):
    """While ``source`` fires, ``quiet`` is not told, and ``loud`` is told all the same."""

    source: dict[str, str]
    quiet: list[dict[str, str]]
    loud: list[dict[str, str]]


def alert(name: str, **labels: str) -> dict[str, str]:
    """The labels of an alert that ships, without its prefix; of one of its severities."""
    rules = [rule for rule in alert_rules() if rule["alert"] == f"Conversions{name}"]
    severities = {rule["labels"]["severity"] for rule in rules}
    severity = labels.setdefault("severity", min(severities))
    assert severity in severities, (name, severities)
    return {"alertname": f"Conversions{name}", **labels}


INHIBITIONS = {
    "a page and its ticket": Inhibition(
        alert("EventNearingSevenDayLimit", destination="1"),
        [alert("EventNearingSevenDayLimit", destination="1", severity="warning")],
        [
            alert("EventNearingSevenDayLimit", destination="2", severity="warning"),
            alert("Throttled", destination="1"),
        ],
    ),
    "no consumer": Inhibition(
        alert("ConsumerAbsent"),
        [
            alert("LagGrowing"),
            alert("PartitionsUnassigned"),
            alert("PollLoopStuck"),
            alert("RebalanceStorm"),
            alert("DeliveryStalled"),
            alert("DeliveryStalled", destination="1"),
        ],
        [alert("RecordsLostToRetention"), alert("AccessTokenInvalid", destination="1")],
    ),
    "no broker": Inhibition(
        alert("KafkaUnreachable"),
        [
            alert("CommitFailures"),
            alert("PartitionsUnassigned"),
            alert("RebalanceStorm"),
            alert("DeadLetterPublishFailing", trouble="unanswered"),
            alert("DeliveryStalled"),
        ],
        [
            alert("DeadLetterPublishFailing", trouble="not_allowed"),
            alert("DeliveryStalled", destination="1"),
            alert("LagGrowing"),
        ],
    ),
    "a revoked token": Inhibition(
        alert("AccessTokenInvalid", destination="1"),
        [
            alert("DestinationHalted", destination="1", reason="token"),
            alert("AccessTokenExpiring", destination="1"),
        ],
        [
            alert("DestinationHalted", destination="1", reason="policy"),
            alert("DestinationHalted", destination="2", reason="token"),
            alert("AccessTokenExpiring", destination="2"),
        ],
    ),
}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    manager = Alertmanager(tmp_path_factory.mktemp("alertmanager"))
    try:
        yield manager
    finally:
        manager.child.kill()


def test_alertmanager_takes_its_file() -> None:
    (path,) = mounts_of("alertmanager").values()
    done = run([needed("amtool"), "check-config", str(path)])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("why", INHIBITIONS)
def test_what_follows_from_another_alert_is_not_told(alertmanager: Alertmanager, why: str) -> None:
    story, job = INHIBITIONS[why], why.replace(" ", "-")
    quiet, loud = ([{**each, "job": job} for each in part] for part in (story.quiet, story.loud))
    source = {**story.source, "job": job}
    another = [{**each, "job": f"{job}-2"} for each in story.quiet]
    alertmanager.fire([source, *quiet, *loud, *another])

    expected = {frozenset(each.items()): "suppressed" for each in quiet}
    expected |= {frozenset(each.items()): "active" for each in (source, *loud)}
    wait_until(lambda: alertmanager.states(job) == expected, lambda: alertmanager.states(job))
    # Of another release, and therefore told.
    assert set(alertmanager.states(f"{job}-2").values()) == {"active"}


def test_every_inhibition_has_its_story() -> None:
    told = {story.source["alertname"] for story in INHIBITIONS.values()}
    quiet = {each["alertname"] for story in INHIBITIONS.values() for each in story.quiet}
    sources, targets = set(), set()
    for rule in ALERTMANAGER["inhibit_rules"]:
        sources |= names_in(rule["source_matchers"])
        targets |= names_in(rule["target_matchers"])
    assert sources == told - {"ConversionsEventNearingSevenDayLimit"}
    assert targets == quiet - {"ConversionsEventNearingSevenDayLimit"}


def test_the_inhibitions_name_values_that_exist() -> None:
    text = json.dumps(ALERTMANAGER["inhibit_rules"])
    troubles = {
        value
        for group in GROUPS.values()
        for metric in group
        for label in metric.labels
        if label.name == "trouble"
        for value in label.values
    }
    assert set(re.findall(r"reason = \\\"(\w+)", text)) <= {reason.value for reason in HaltReason}
    assert set(re.findall(r"trouble = \\\"(\w+)", text)) <= troubles
    assert "reason = " in text
    assert "trouble = " in text


def test_alerts_of_a_destination_are_told_together_and_to_nobody(
    alertmanager: Alertmanager,
) -> None:
    tried = [
        alert("Throttled", destination=pixel, job=job)
        for pixel, job in (("7", "one"), ("7", "two"), ("8", "one"))
    ]
    alertmanager.fire(tried)

    def sizes() -> dict[str, int]:
        groups = [each for each in alertmanager.groups() if set(each["labels"]) >= {"destination"}]
        assert {each["receiver"]["name"] for each in groups} == {"nobody"}
        return {
            each["labels"]["destination"]: len(each["alerts"])
            for each in groups
            if each["labels"]["alertname"] == "ConversionsThrottled"
        }

    wait_until(lambda: {("7", 2), ("8", 1)} <= set(sizes().items()), sizes)
    # A receiver without an integration: nothing leaves this machine.
    assert ALERTMANAGER["receivers"] == [{"name": "nobody"}]


def test_the_pages_trial_reaches_alertmanager(alertmanager: Alertmanager) -> None:
    page = PAGE_PATH.read_text(encoding="utf-8")
    lines = [line.split() for line in console_lines(page) if " amtool " in line]
    query, add = (words[words.index("amtool") :] for words in lines)
    here = {"http://127.0.0.1:9093": alertmanager.url}
    for words in (add, query):
        done = run([needed("amtool"), *replaced(words[1:], here)])
        assert done.returncode == 0, done.stdout
    assert "ATrial" in done.stdout


# Health checks of images that are not here


@pytest.mark.parametrize(
    ("name", "port", "path"),
    [
        ("grafana", 3000, "/api/health"),
        ("kafka-ui", 8080, "/actuator/health"),
        ("prometheus", 9090, "/-/ready"),
        ("alertmanager", 9093, "/-/ready"),
    ],
)
def test_a_health_check_tells_well_from_unwell(name: str, port: int, path: str) -> None:
    assert port in listening(name)
    for status, well in ((200, True), (503, False)):
        with answering(status) as (here, asked):
            assert (checked(name, port, here) == 0) is well
        assert asked == [f"GET {path}"]
    (closed,) = free_ports(1)
    assert checked(name, port, closed) != 0


class answering:
    """A server on 127.0.0.1 that gives one status; yields its port, and what it was asked."""

    def __init__(self, status: int) -> None:
        asked: list[str] = []

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> tuple[int, list[str]]:
        self._thread.start()
        return self._server.server_port, self._asked

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def names_in(matchers: list[str]) -> set[str]:
    """The alerts that the matchers name."""
    names = set[str]()
    for matcher in matchers:
        if found := re.fullmatch(r'alertname = "(\w+)"', matcher):
            names.add(found[1])
        elif found := re.fullmatch(r'alertname =~ "Conversions\(([\w|]+)\)"', matcher):
            names |= {f"Conversions{name}" for name in found[1].split("|")}
        else:
            assert not matcher.startswith("alertname"), matcher
    return names
