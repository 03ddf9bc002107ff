"""The Go modules of the publisher that a test builds, kept in the cache outside the tree.

    python tests/go_tools.py         bring what is missing (part of `make tools`)

Go downloads them from wherever the user's own settings say, and compares each with the checksum in
``tests/publishers/go/go.sum``. Without Go there is nothing to do: the test says that it is skipped.

Exit codes: 0 fine, 1 failed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

PUBLISHER = Path(__file__).with_name("publishers") / "go"
DOWNLOAD_SECONDS_MAX = 600.0


def installed() -> Path | None:
    """The folder with the modules, or None until `make tools` has brought them."""
    folder = _folder()
    return folder if folder.is_dir() else None


def environment(modules: Path) -> dict[str, str]:
    """For Go: the modules from there, and none but those that were checked."""
    return os.environ | {
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOMODCACHE": str(modules),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def main() -> int:
    """Run the command; returns the exit code."""
    if installed() is not None:
        _say(f"Go modules: already in {_folder()}")
        return 0
    go = shutil.which("go")
    if go is None:
        _say("Go modules: there is no go on the PATH, and the test that needs it is skipped")
        return 0
    _folder().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=_folder().parent) as temporary:
        fresh = Path(temporary, "modules")
        done = subprocess.run(
            [go, "mod", "download"],
            cwd=shutil.copytree(PUBLISHER, Path(temporary, "publisher")),
            env=environment(fresh),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            last_words = done.stderr.strip().splitlines()[-5:]
            sys.stderr.write("\n  ".join(["Go modules: go mod download said", *last_words]) + "\n")
            return 1
        fresh.rename(_folder())
    _say(f"Go modules: with the right checksums, in {_folder()}")
    return 0


def _folder() -> Path:
    # A relative XDG_CACHE_HOME is void by the specification that defines the variable.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    sums = sha256((PUBLISHER / "go.sum").read_bytes()).hexdigest()
    return home / "conversions-consumer" / f"go-modules-{sums[:12]}"


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
