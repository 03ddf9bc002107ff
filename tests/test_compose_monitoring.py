"""Prometheus, Alertmanager, Grafana and kafka-ui of docker-compose.yml: they find one another.

Prometheus and Alertmanager are the real ones, with the very files that compose mounts. Grafana and
kafka-ui cannot be had without their images: their files are compared with what is documented and
with what the dashboards expect, and their health checks are run against a stand-in's answers.
"""

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from consumer.metric_contract import GROUPS
from consumer.model import HaltReason
from consumer.settings import load_settings
from tests.compose_file import (
    ROOT,
    all_services,
    command_of,
    environment_of,
    listening,
    mounts_of,
    replaced,
    run,
)
from tests.debian_tools import command, needed
from tests.integration import Child, free_ports

PATIENCE_SECONDS = 60.0
ALERTS = yaml.safe_load((ROOT / "helm" / "files" / "alerts.yaml").read_text(encoding="utf-8"))
ALERTMANAGER = yaml.safe_load((ROOT / "compose" / "alertmanager.yml").read_text(encoding="utf-8"))
JOB = "conversions-consumer"

# What Grafana's page on provisioning lists (grafana.com/docs: Administration, Provision Grafana).
DATA_SOURCE_FIELDS = {
    **{name: str for name in ("name", "type", "access", "uid", "url", "user", "database")},
    **{name: bool for name in ("basicAuth", "withCredentials", "isDefault", "editable")},
    **{"basicAuthUser": str, "orgId": int, "version": int},
    **{"jsonData": dict, "secureJsonData": dict, "correlations": list},
}
PROVIDER_FIELDS = {
    **{name: str for name in ("name", "type", "folder", "folderUid")},
    **{name: bool for name in ("disableDeletion", "editable", "allowUiUpdates")},
    **{"orgId": int, "updateIntervalSeconds": int, "options": dict},
}
PROVIDER_OPTIONS = {"path": str, "foldersFromFilesStructure": bool}
PROMETHEUS_OPTIONS = {
    **{name: str for name in ("timeInterval", "queryTimeout", "httpMethod", "prometheusType")},
    **{name: str for name in ("prometheusVersion", "cacheLevel", "customQueryParameters")},
    **{"manageAlerts": bool, "exemplarTraceIdDestinations": list},
}


def alert_rules() -> list[dict[str, Any]]:
    """The rules that ship and are alerts."""
    return [rule for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule]


def mounted(name: str, inside: str) -> Any:
    """What a service reads at a path, if that is YAML of ours."""
    return yaml.safe_load(mounts_of(name)[inside].read_text(encoding="utf-8"))


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


class Alertmanager:
    """The real one, with compose's command and file."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        here = {inside: str(path) for inside, path in mounts_of("alertmanager").items()}
        storage = {"--storage.path=/alertmanager": f"--storage.path={folder}"}
        words = replaced(command_of("alertmanager"), here | storage)
        self.child = Child(
            [*command("prometheus-alertmanager"), *words, f"--web.listen-address=127.0.0.1:{port}"],
            log_path=folder / "alertmanager.log",
            cwd=folder,
            env=None,
        )
        self.child.wait_until(lambda: self.health() == 0, PATIENCE_SECONDS, "good health")

    def health(self) -> int:
        """The exit code of compose's health check."""
        return checked("alertmanager", 9093, int(self.url.rsplit(":", 1)[1]))

    def fire(self, alerts: list[dict[str, str]]) -> None:
        """As Prometheus would."""
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        told = [{"labels": labels, "endsAt": until} for labels in alerts]
        answer = httpx.post(f"{self.url}/api/v2/alerts", json=told, timeout=10, trust_env=False)
        assert answer.is_success, answer.text

    def states(self, job: str) -> dict[frozenset[tuple[str, str]], str]:
        """``active`` or ``suppressed``, by labels, of the alerts of a job."""
        return {
            frozenset(each["labels"].items()): each["status"]["state"]
            for each in self._get("alerts", {"filter": f'job="{job}"'})
        }

    def groups(self) -> list[dict[str, Any]]:
        """What is told together: ``{"labels", "alerts", "receiver"}`` each."""
        return list(self._get("alerts/groups", {}))

    def _get(self, path: str, asked: dict[str, str]) -> Any:
        address = f"{self.url}/api/v2/{path}"
        answer = httpx.get(address, params=asked, timeout=10, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()


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
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\$ docker compose exec alertmanager (amtool .+)$", page, re.MULTILINE)
    query, add = (line.split() for line in lines)
    here = {"http://127.0.0.1:9093": alertmanager.url}
    for words in (add, query):
        done = run([needed("amtool"), *replaced(words[1:], here)])
        assert done.returncode == 0, done.stdout
    assert "ATrial" in done.stdout


# Grafana


def data_source() -> dict[str, Any]:
    provisioned = mounted("grafana", "/etc/grafana/provisioning/datasources/compose.yml")
    assert provisioned.keys() == {"apiVersion", "datasources"}
    (source,) = provisioned["datasources"]
    return dict(source)


def provider() -> dict[str, Any]:
    provisioned = mounted("grafana", "/etc/grafana/provisioning/dashboards/compose.yml")
    assert provisioned.keys() == {"apiVersion", "providers"}
    (one,) = provisioned["providers"]
    return dict(one)


def dashboards() -> dict[str, dict[str, Any]]:
    """What Grafana finds where the provider looks, by the file's path in the container."""
    folder = provider()["options"]["path"]
    files = sorted(mounts_of("grafana")[folder].glob("*.json"))
    return {f"{folder}/{file.name}": json.loads(file.read_text("utf-8")) for file in files}


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        (data_source, DATA_SOURCE_FIELDS),
        (lambda: data_source()["jsonData"], PROMETHEUS_OPTIONS),
        (provider, PROVIDER_FIELDS),
        (lambda: provider()["options"], PROVIDER_OPTIONS),
    ],
)
def test_grafana_is_told_what_it_documents(
    what: Callable[[], dict[str, Any]], fields: dict[str, type]
) -> None:
    for name, value in what().items():
        assert name in fields
        assert type(value) is fields[name], name


def test_the_dashboards_the_data_source_and_prometheus_fit() -> None:
    config = mounted("prometheus", "/etc/prometheus/prometheus.yml")
    source = data_source()
    assert re.fullmatch(r"http://(\w+):(\d+)", source["url"])
    host, port = source["url"].removeprefix("http://").split(":")
    assert host in all_services()["grafana"]["depends_on"]
    assert int(port) in listening(host)
    # A rate over less than four scrapes would have holes.
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]

    shown = dashboards()
    assert len(shown) == 2
    for dashboard in shown.values():
        variables = {each["name"]: each for each in dashboard["templating"]["list"]}
        chosen = variables["datasource"]
        # The choice called "default" is the default source; there is one of this type, and no more.
        assert (chosen["type"], chosen["query"]) == ("datasource", source["type"])
        assert chosen["current"]["value"] in ("default", source["uid"], source["name"])
        assert source["isDefault"] is True
        assert not chosen["regex"] or re.search(chosen["regex"], source["name"])
        used = set(re.findall(r'"uid": "(\$\{\w+\})"', json.dumps(dashboard)))
        assert used == {"${datasource}"}
        assert [job["job_name"] for job in config["scrape_configs"]] == [
            variables["job"]["current"]["value"]
        ]


def test_the_alerts_select_what_prometheus_scrapes_and_name_dashboards_that_grafana_has() -> None:
    text = json.dumps(ALERTS)
    (job,) = mounted("prometheus", "/etc/prometheus/prometheus.yml")["scrape_configs"]
    assert set(re.findall(r'job=\\"([^\\]+)', text)) == {job["job_name"]}
    named = {rule["annotations"]["dashboard"].split(":")[0] for rule in alert_rules()}
    assert named <= {dashboard["uid"] for dashboard in dashboards().values()}


def test_grafana_opens_with_a_dashboard_and_lets_nobody_in() -> None:
    told = environment_of("grafana")
    assert told["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in dashboards()
    assert told["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert told["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert told["GF_AUTH_BASIC_ENABLED"] == "false"
    assert told["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert told["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_grafana_replaces_no_plug_in_on_a_root_that_it_cannot_write_on() -> None:
    assert all_services()["grafana"]["read_only"] is True
    assert environment_of("grafana")["GF_PLUGINS_PREINSTALL_AUTO_UPDATE"] == "false"
    assert "/var/lib/grafana" in all_services()["grafana"]["tmpfs"]


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


def checked(name: str, port: int, here: int) -> int:
    """The health check of a service with ``wget``, run against a port of this host.

    Their images have busybox's, and so has this.
    """
    folder = Path(needed("busybox")).parent
    (kind, program, *words) = all_services()[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "wget")
    done = run(
        [str(folder / "busybox"), "wget", *replaced(words, {f":{port}/": f":{here}/"})],
    )
    return done.returncode


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


def wait_until(condition: Callable[[], bool], told: Callable[[], object]) -> None:
    """Wait for a condition; what is ``told`` stands in the failure."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()
        threading.Event().wait(0.1)
