"""The members of the group, each its own process; one that ends by itself is started again."""

import signal
from collections.abc import Mapping

from tests.integration import Running
from tests.integration.world import World

ENDED_SECONDS_MAX = 90.0


class Fleet:
    """Consumers of one group. ``settings`` are theirs beside the world's own."""

    def __init__(self, world: World, settings: Mapping[str, str]) -> None:
        self._world, self._settings = world, dict(settings)
        self._members: list[Running] = []
        self._frozen: list[Running] = []
        self._going: list[Running] = []
        self.all: list[Running] = []
        self.ended_by_themselves = 0

    def __len__(self) -> int:
        return len(self._members)

    @property
    def pids(self) -> list[int]:
        """Those that run."""
        return [member.pid for member in list(self._members)]

    def start(self, count: int) -> None:
        """So many more. Nobody waits until they have joined."""
        for _ in range(count):
            environment = self._world.environment(**self._settings)
            member = self._world.product.run("run", env=environment)
            self._members.append(member)
            self.all.append(member)

    def kill(self, choice: int) -> str:
        """``kill -9`` of one."""
        member = self._leaving(choice)
        member.kill()
        return member.log_path.name

    def terminate(self, choice: int) -> str:
        """SIGTERM to one; nobody waits for it."""
        member = self._leaving(choice)
        member.terminate()
        self._going.append(member)
        return member.log_path.name

    def freeze(self, choice: int) -> str:
        """SIGSTOP to one."""
        member = self._leaving(choice)
        member.pause()
        self._frozen.append(member)
        return member.log_path.name

    def wake(self) -> None:
        """SIGCONT to whoever is stopped."""
        for member in self._frozen:
            member.resume()
            self._members.append(member)
        self._frozen.clear()

    def stop(self) -> None:
        """SIGTERM to all; returns when they are gone, those told before included."""
        while self._members:
            self.terminate(0)
        while self._going:
            code = self._going.pop().wait(ENDED_SECONDS_MAX)
            # One that had not begun yet ends by the signal itself.
            assert code in (0, 1, -signal.SIGTERM), f"a member ended with {code} after SIGTERM"

    def revive(self) -> list[str]:
        """As Kubernetes does: start anew what ended by itself. Returns their last lines."""
        ended = [member for member in self._members if not member.alive]
        for member in ended:
            self._members.remove(member)
        self.ended_by_themselves += len(ended)
        self.start(len(ended))
        return [member.output().strip().rsplit("\n", 1)[-1] for member in ended]

    def _leaving(self, choice: int) -> Running:
        return self._members.pop(choice % len(self._members))
