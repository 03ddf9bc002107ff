"""The wheel, as the image runs it: nobody's number, no capability, and nothing to write on.

The Dockerfile's build stage runs here as it stands, hashes and all, and what it made runs under
bubblewrap as the process with the number 1, which is what a container would make of it. No engine
is needed, but a kernel that lets users have namespaces of their own: without that the tests of the
sandbox are skipped with a notice.
"""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer import __version__
from tests.debian_tools import needed
from tests.image import (
    ROOT,
    Installed,
    attempt,
    build,
    health_check,
    instructions,
    run,
    runtime_environment,
)
from tests.integration import Product, Running
from tests.integration.test_shutdown import events, last_line, taken
from tests.integration.world import World, metrics_port

pytestmark = pytest.mark.integration

NUMBER = "65532"
LOOK_AROUND = """
import errno, json, os, pathlib, sys

def refusal(path):
    try:
        pathlib.Path(path, "written").write_text("x")
    except OSError as error:
        return errno.errorcode[error.errno]
    return None

status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
import consumer
print(json.dumps({
    "package": consumer.__file__,
    "pid": os.getpid(),
    "ids": [os.getuid(), os.getgid()],
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")],
    "new_privileges": status["NoNewPrivs"].strip() == "0",
    "refusals": {path: refusal(path) for path in ("/", "/tmp", "/var/tmp", *sys.argv[1:])},
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """All of the build stage: the hashed locks from wherever the user's pip takes them."""
    folder = tmp_path_factory.mktemp("image")
    lines = [each.rest for each in instructions("RUN") if each.stage == "build"]
    where_pip_looks = {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
    return build(folder, lines, env={"HOME": os.environ["HOME"], **where_pip_looks})


@pytest.fixture
def sandbox(installed: Installed, tmp_path: Path) -> list[str]:
    """The words before a command that is to run as in the container."""
    sets = runtime_environment() | {
        "PATH": f"{installed.programs}:/usr/bin:/bin",
        # A container has an address of its own; we have one that is seen from nowhere else.
        "CONVERSIONS_METRICS_HOST": "127.0.0.1",
        "HOME": "/",
    }
    words = [needed("bwrap"), "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the one that hides ours
    for seen in (installed.environment, tmp_path):  # they lie in the /tmp that was just hidden
        words += ["--ro-bind", str(seen), str(seen)]
    words += ["--remount-ro", "/tmp"]  # noqa: S108
    words += ["--unshare-user", "--uid", NUMBER, "--gid", NUMBER, "--cap-drop", "ALL"]
    words += ["--unshare-pid", "--as-pid-1", "--proc", "/proc", "--unshare-ipc"]
    words += ["--die-with-parent", "--chdir", "/", "--unsetenv", "PYTHONPATH"]
    words += [word for name, value in sets.items() for word in ("--setenv", name, value)]
    tried = attempt([*words, "true"], cwd=tmp_path, env={})
    if tried.returncode != 0:
        pytest.skip(f"no sandbox on this machine: {tried.stdout.strip()}")
    return words


@pytest.fixture
def contained(sandbox: list[str], tmp_path: Path) -> Iterator[Product]:
    """Starts the wheel's command inside the sandbox."""
    folder = tmp_path / "contained"
    folder.mkdir()
    product = Product(command=(*sandbox, "conversions"), folder=folder)
    try:
        yield product
    finally:
        product.close()


def test_the_installed_command_finds_out_which_shell_it_is_to_teach(
    installed: Installed, tmp_path: Path
) -> None:
    program = str(installed.programs / "conversions")
    # By looking at who called.
    script = run(["/bin/bash", "-c", f"{program} --show-completion; exit $?"], cwd=tmp_path, env={})
    assert "_CONVERSIONS_COMPLETE=complete_bash" in script


def test_what_is_installed_has_the_schema_and_nothing_that_builds(
    installed: Installed, tmp_path: Path
) -> None:
    program = str(installed.programs / "conversions")
    assert run([program, "--version"], cwd=tmp_path, env={}).split()[-1] == __version__
    ask = "from consumer.schema_plan import event_schema as schema; print(schema()['name'])"
    said = run([str(installed.programs / "python"), "-c", ask], cwd=tmp_path, env={})
    assert said.split() == ["ConversionEvent"]
    packages = {path.name for path in installed.environment.rglob("site-packages/*")}
    assert "consumer" in packages
    assert packages & {"pip", "setuptools", "wheel", "hatchling", "pytest"} == set()


def test_the_sandbox_is_what_the_image_promises(sandbox: list[str], installed: Installed) -> None:
    command = [*sandbox, "python", "-c", LOOK_AROUND, str(installed.environment)]
    found = json.loads(run(command, cwd=ROOT, env={}))
    (user,) = instructions("USER")
    assert user.rest == f"{NUMBER}:{NUMBER}"
    assert found["ids"] == [int(NUMBER)] * 2
    assert found["pid"] == 1
    assert Path(found["package"]).is_relative_to(installed.environment)
    assert found["capabilities"] == [0, 0, 0, 0]
    assert found["new_privileges"] is False
    assert set(found["refusals"].values()) == {"EROFS"}


def test_the_contained_consumer_delivers_and_drains_when_it_is_told_to_end(
    world: World, contained: Product, sandbox: list[str]
) -> None:
    world.meta("POST", "misbehave", [{"do": {"latency_ms": [100, 300]}}])
    running = contained.run("run", env=world.environment(CONVERSIONS_WINDOW_EVENTS="50"))
    running.wait_for_line("joined the group", 60)
    inside = first_process(running)
    assert b"PYTHONPATH=" not in Path(f"/proc/{inside}/environ").read_bytes()
    events(world, 4000)
    running.wait_until(lambda: taken(world) > 300, 60, "first events")
    port = str(metrics_port(running))
    assert healthy(sandbox, port=port)

    # As a container's engine does it: to the process itself, which as number 1 gets no signal that
    # it does not listen to.
    os.kill(inside, signal.SIGTERM)

    assert running.wait(60) == 0
    assert 300 < taken(world) < 4000
    assert last_line(running)["event"] == "stopped"
    assert sum(world.kafka.committed(world.group, world.topic).values()) == taken(world)
    assert not healthy(sandbox, port=port)
    world.assert_silent(running)


def first_process(running: Running) -> int:
    """The number by which we know the sandbox's first process: bubblewrap's only child."""
    (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    return int(child)


def healthy(sandbox: list[str], *, port: str) -> bool:
    """What the image's own health check says, run beside the consumer."""
    environment = {"CONVERSIONS_METRICS_PORT": port}
    done = attempt([*sandbox, *health_check()], cwd=ROOT, env=environment)
    return done.returncode == 0
