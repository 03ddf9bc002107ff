"""Grafana of docker-compose.yml: it shows the chart's dashboards of compose's Prometheus.

Grafana cannot be had without its image. What it is told is compared with what it documents, with
what the dashboards expect, and with what Prometheus scrapes.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.compose_file import all_services, environment_of, listening, mounts_of
from tests.compose_processes import RULES_PATH, mounted

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
    text = mounts_of("prometheus")[RULES_PATH].read_text(encoding="utf-8")
    (job,) = mounted("prometheus", "/etc/prometheus/prometheus.yml")["scrape_configs"]
    assert set(re.findall(r'job="([^"]+)"', text)) == {job["job_name"]}
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    told = [rule["annotations"]["dashboard"] for rule in rules if "alert" in rule]
    named = {place.split(":")[0] for place in told}
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
