"""docker-compose.yml: sound, safe, ordered, and what it starts of ours does start.

Docker is not needed. What compose would tell each service of ours is told to a process here, with
the names of the other services replaced by local addresses. What looks at them is in
test_compose_monitoring.py; Kafka, the registry and all of it together in the integration tests.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from consumer.settings import load_settings
from tests import image
from tests.compose_file import (
    COMPOSE_PATH,
    OURS,
    PAGE_PATH,
    PATIENCE_SECONDS,
    ROOT,
    all_services,
    command_of,
    console_lines,
    environment_of,
    health_check,
    listening,
    local_environment,
    replaced,
    run,
    whole,
)
from tests.integration import Product, free_ports
from tests.python_tools import needed

BY_DEFAULT = {
    *("kafka", "topics", "registry", "emulator", "consumer"),
    *("prometheus", "alertmanager", "grafana"),
}
BY_PROFILE = {"tools": {"publisher"}, "ui": {"kafka-ui"}}
WRITE_ON_THEIR_ROOT = {"kafka", "topics", "registry"}
ONE_SHOT = {"topics"}


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
    done = run([*compose, "config", "--quiet"], env={"HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("profiles", "started"),
    [
        ([], BY_DEFAULT),
        (["tools"], BY_DEFAULT | BY_PROFILE["tools"]),
        (["ui"], BY_DEFAULT | BY_PROFILE["ui"]),
    ],
)
def test_what_nobody_asked_for_is_behind_a_profile(
    profiles: list[str], started: set[str], tmp_path: Path
) -> None:
    asked = [word for profile in profiles for word in ("--profile", profile)]
    compose = [*needed("docker-compose"), "--file", str(COMPOSE_PATH), *asked]
    done = run([*compose, "config", "--services"], env={"HOME": str(tmp_path)})
    assert set(done.stdout.split()) == started


def test_the_file_follows_the_compose_specification() -> None:
    check = [*needed("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = run([*check, str(COMPOSE_PATH)])
    assert done.returncode == 0, done.stdout


def test_every_image_has_a_version() -> None:
    images = {name: service["image"] for name, service in all_services().items()}
    unpinned = [name for name, image in images.items() if not re.search(r":(?!latest$)\S+$", image)]
    assert unpinned == []
    theirs = {image for name, image in images.items() if name not in OURS}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in theirs), theirs


def test_what_runs_is_what_the_other_tests_run_on() -> None:
    from tests.tools import APICURIO, KAFKA, KAFKA_TOOLS

    services = all_services()
    assert KAFKA.version == KAFKA_TOOLS.version
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA.version}"
    assert services["topics"]["image"] == services["kafka"]["image"]
    assert services["registry"]["image"] == f"apicurio/apicurio-registry:{APICURIO.version}"


def test_ports_are_open_to_this_machine_alone_and_differ() -> None:
    ports = [port for service in all_services().values() for port in service.get("ports", [])]
    found = [re.fullmatch(r"127\.0\.0\.1:(\d+):\d+", port) for port in ports]
    assert all(found), ports
    numbers = [each[1] for each in found if each]
    assert len(numbers) == len(set(numbers)) == 7


def test_the_consumer_can_be_scaled() -> None:
    consumer = all_services()["consumer"]
    assert not {"ports", "container_name", "hostname"} & consumer.keys()
    # A static member's name would be the same for all of them.
    assert "KAFKA_CONSUMER_GROUP_INSTANCE_ID" not in environment_of("consumer")
    assert not [name for name, each in all_services().items() if "container_name" in each]


def test_every_mounted_path_exists_and_every_volume_has_a_name() -> None:
    compose = whole()
    mounts = [mount for each in compose["services"].values() for mount in each.get("volumes", [])]
    sources = [mount.split(":")[0] for mount in mounts]
    paths = [source for source in sources if source.startswith(".")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert set(sources) - set(paths) == set(compose["volumes"])
    assert all(mount.endswith(":ro") for mount in mounts if mount.startswith("."))


def test_nothing_is_taken_from_the_environment_of_whoever_starts_it() -> None:
    """Else a token that somebody has exported would go to the emulator, or an event to Meta."""
    text = COMPOSE_PATH.read_text(encoding="utf-8").replace("$$", "")
    assert "$" not in text
    assert not [name for name, each in all_services().items() if "env_file" in each]


def test_no_secret_stands_in_the_file() -> None:
    secret = re.compile("TOKEN|SECRET|PASSWORD|CREDENTIAL|JAAS|USER_INFO|_KEY$")
    found = {
        variable: value
        for name in all_services()
        for variable, value in environment_of(name).items()
        if secret.search(variable)
    }
    assert found == {"CONVERSIONS_ACCESS_TOKEN": "token-for-the-emulator"}


@pytest.mark.parametrize("name", all_services())
def test_no_service_may_do_what_it_need_not(name: str) -> None:
    service = all_services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", False) is (name not in WRITE_ON_THEIR_ROOT)
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & service.keys()


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_built_here_and_needs_a_folder_at_most(name: str) -> None:
    service = all_services()[name]
    assert service["init"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own
    assert (service["build"], service["pull_policy"]) == (".", "build")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_a_service_of_ours_is_a_setting(name: str) -> None:
    settings = load_settings(environment_of(name))
    if name == "consumer":
        settings.require_kafka()
        settings.require_destinations()


@pytest.mark.parametrize("name", ["consumer", "publisher", "registry", "kafka-ui"])
def test_a_service_starts_after_those_that_it_talks_to(name: str) -> None:
    before = _before(name)
    for host, port in _addresses(name):
        assert host in before, f"{name} does not wait for {host}"
        assert port in listening(host), f"{host} does not listen on {port}"


def test_a_service_waits_for_what_will_happen() -> None:
    """A one-shot service is never healthy, and one that stays never completes."""
    services = all_services()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "completed_successfully" if other in ONE_SHOT else "healthy"
            assert how == {"condition": f"service_{wanted}"}, f"{name} on {other}"


def test_every_service_that_stays_tells_whether_it_is_well() -> None:
    services = all_services()
    told = {name for name, each in services.items() if "test" in each.get("healthcheck", {})}
    # The image's own: `up --wait` waits for it as for the others.
    assert image.health_check()
    assert told | {"consumer"} == services.keys() - ONE_SHOT - {"publisher"}
    assert services["publisher"]["healthcheck"] == {"disable": True}
    for name in told:
        assert {"start_period", "start_interval", "timeout"} <= services[name]["healthcheck"].keys()


def test_a_drain_is_not_cut_short() -> None:
    settings = load_settings(environment_of("consumer"))
    seconds = all_services()["consumer"]["stop_grace_period"].removesuffix("s")
    assert float(seconds) > settings.grace_seconds + settings.request_timeout_seconds


def test_the_emulator_starts_and_its_health_check_tells(product: Product) -> None:
    port, closed = free_ports(2)
    command = replaced(command_of("emulator"), {"0.0.0.0": "127.0.0.1", "8080": str(port)})  # noqa: S104 - what we replace
    emulator = product.run(*command, env={})
    emulator.wait_for_line(f"http://127.0.0.1:{port}", PATIENCE_SECONDS)
    assert health_check("emulator", {"8080": str(port)}) == 0
    assert health_check("emulator", {"8080": str(closed)}) != 0
    emulator.terminate()
    assert emulator.wait(PATIENCE_SECONDS) == 0


def test_the_consumer_starts_lives_and_ends_well_while_kafka_is_down(product: Product) -> None:
    closed, port = free_ports(2)
    others = dict.fromkeys(("kafka", "registry", "emulator"), closed)
    # The port of its own that a container has, so that a consumer which runs here does not matter.
    own = {"CONVERSIONS_METRICS_HOST": "127.0.0.1", "CONVERSIONS_METRICS_PORT": str(port)}
    consumer = product.run(*command_of("consumer"), env=local_environment("consumer", others) | own)
    consumer.wait_for_line('"consuming"', PATIENCE_SECONDS)
    assert _status(port, "livez") == 200
    assert _status(port, "readyz") == 503
    assert _status(port, "metrics") == 200
    consumer.terminate()
    assert consumer.wait(PATIENCE_SECONDS) == 0
    assert environment_of("consumer")["CONVERSIONS_ACCESS_TOKEN"] not in consumer.output()


def test_the_publisher_starts_and_says_what_is_wrong_while_kafka_is_down(tmp_path: Path) -> None:
    (closed,) = free_ports(1)
    command = [sys.executable, "-m", "consumer", *command_of("publisher")]
    environment = local_environment("publisher", {"kafka": closed, "registry": closed})
    done = run(
        command,
        env=environment | {"PYTHONPATH": str(ROOT)},
        told='{"eventName": 17}\n',
        cwd=tmp_path,
    )
    assert done.returncode in (1, 2), done.stdout
    assert "No such" not in done.stdout
    assert "Traceback" not in done.stdout
    assert done.stdout.strip()


def test_the_page_says_which_ports_are_open() -> None:
    page = PAGE_PATH.read_text(encoding="utf-8")
    told = re.findall(r"^\| `(127\.0\.0\.1:\d+)` \|", page, re.MULTILINE)
    ports = [port for service in all_services().values() for port in service.get("ports", [])]
    assert sorted(told) == sorted(port.rsplit(":", 1)[0] for port in ports)


def test_the_page_says_what_each_service_is_for() -> None:
    page = PAGE_PATH.read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert sorted(told) == sorted(all_services())


def test_the_commands_of_the_page_name_services_and_profiles_that_exist() -> None:
    named, profiles = set(), set()
    for line in console_lines(PAGE_PATH.read_text(encoding="utf-8")):
        for call in re.findall(r"docker compose ([^<#|]+)", line):
            words = call.split()
            if words[0] == "--profile":
                profiles.add(words[1])
                words = words[2:]
            named |= {word for word in words if word in all_services()}
            verb, rest = words[0], [word for word in words[1:] if not word.startswith("-")]
            if verb in ("logs", "stop", "start", "run", "exec"):
                assert rest[0] in all_services(), line
            if verb == "up":
                assert set(rest) - {"consumer=3"} <= all_services().keys(), line
    assert {"consumer", "publisher", "alertmanager"} <= named
    # A service that is named needs no profile.
    assert profiles == {"ui"}


def test_the_pages_way_to_a_real_pixel_works(tmp_path: Path) -> None:
    compose = needed("docker-compose")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE_PATH.read_text("utf-8"), re.M | re.S)
    (block,) = [block for block in blocks if "CONVERSIONS_PIXEL_ID" in block]
    override, token = tmp_path / "override.yml", tmp_path / "access_token.txt"
    override.write_text(block, encoding="utf-8")
    token.write_text("a-token-of-a-test\n", encoding="utf-8")
    files = ["--file", str(COMPOSE_PATH), "--file", str(override)]
    done = run([*compose, *files, "config", "--format", "json"], env={"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout
    consumer = json.loads(done.stdout)["services"]["consumer"]
    environment: dict[str, Any] = consumer["environment"]
    (secret,) = consumer["secrets"]
    assert environment["CONVERSIONS_ACCESS_TOKEN_FILE"] == secret["target"]
    settings = load_settings(environment | {"CONVERSIONS_ACCESS_TOKEN_FILE": str(token)})
    settings.require_destinations()
    assert settings.graph_url == "https://graph.facebook.com"


def _before(name: str) -> set[str]:
    """The services that are waited for before this one starts."""
    direct = set(all_services()[name].get("depends_on", {}))
    return direct.union(*(_before(other) for other in direct))


def _addresses(name: str) -> Iterator[tuple[str, int]]:
    """The other services that an environment names, with the port."""
    for value in environment_of(name).values():
        parts = urlsplit(value if "://" in value else f"//{value}")
        if parts.hostname in all_services():
            yield parts.hostname, parts.port or 80


def _status(port: int, path: str) -> int:
    address = f"http://127.0.0.1:{port}/{path}"
    return httpx.get(address, timeout=5.0, trust_env=False).status_code
