"""What was set and where: command line, environment and settings file become one set of variables.

A variable may be given as its value, or as ``<NAME>_FILE`` with the path of a file that holds it.
Whichever form the highest place uses, wins. An empty value counts as not set, as compose files
and charts write it. Which names exist and what they may hold is not judged here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from consumer.plain_yaml import YamlMistake, load_plain
from consumer.secret_files import UnreadableFile, read_secret_file, read_text

PREFIXES = ("CONVERSIONS_", "KAFKA_", "SCHEMA_REGISTRY_")
SETTINGS_FILE = "CONVERSIONS_SETTINGS_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The variables in force, the files that some were read from, and what could not be read."""

    values: Mapping[str, str] = field(repr=False)
    files: Mapping[str, Path] = field(repr=False)
    problems: tuple[str, ...]


NONE_SET = Variables(values={}, files={}, problems=())


def gather(
    environ: Mapping[str, str],
    arguments: Mapping[str, Any],
    *,
    names_a_file: Callable[[str], bool],
) -> Variables:
    """Merge the places where settings stand: ``arguments``, ``environ``, the settings file.

    ``arguments`` are the command line's, by field (``topic``) or variable; None is not given.
    ``names_a_file`` says of a name that ends in ``_FILE`` whether the path of a file with the
    value belongs there (it does not in ``CONVERSIONS_DESTINATIONS_FILE``).
    """
    problems: list[str] = []
    layers = [_from_arguments(arguments), _from_environment(environ)]
    path = next((layer[SETTINGS_FILE] for layer in layers if SETTINGS_FILE in layer), None)
    if path is not None:
        layers.append(_from_settings_file(Path(path), problems))
    winners: dict[str, tuple[str, bool]] = {}
    for layer in reversed(layers):
        winners |= _by_variable(layer, names_a_file, problems)
    return _read(winners, problems)


def _from_arguments(arguments: Mapping[str, Any]) -> dict[str, str]:
    named = {
        name if name.startswith(PREFIXES) else f"CONVERSIONS_{name.upper()}": _text(value)
        for name, value in arguments.items()
    }
    return {name: value for name, value in named.items() if value}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if value and name.startswith(PREFIXES) and not _is_foreign(name, value)
    }


def _is_foreign(name: str, value: str) -> bool:
    """Whether others than our operators set it: Kubernetes for a Service, or a JVM's scripts.

    A Service named ``conversions-metrics`` sets even ``CONVERSIONS_METRICS_PORT``, to an address.
    """
    if _SERVICE_LINK.search(name) or _JVM.fullmatch(name):
        return True
    return name.endswith("_PORT") and _ADDRESS.match(value) is not None


_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_JVM = re.compile(r"KAFKA_(HOME|OPTS|(HEAP|LOG4J|GC_LOG|JVM_PERFORMANCE)_OPTS|JMX_\w+)")


def _from_settings_file(path: Path, problems: list[str]) -> dict[str, str]:
    try:
        document = load_plain(read_text(path))
    except (UnreadableFile, YamlMistake) as mistake:
        problems.append(f"the file that {SETTINGS_FILE} names {mistake}")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"the file that {SETTINGS_FILE} names must hold lines of NAME: value")
        return {}
    layer = {}
    for name, value in document.items():
        if isinstance(value, dict | list):
            problems.append(f"{name} in the settings file must be a single value")
        elif name == SETTINGS_FILE:
            problems.append(f"{SETTINGS_FILE} cannot stand in the settings file itself")
        elif text := _text(value):
            layer[str(name)] = text
    return layer


def _by_variable(
    layer: Mapping[str, str], names_a_file: Callable[[str], bool], problems: list[str]
) -> dict[str, tuple[str, bool]]:
    """Of each variable that the layer sets: the value or path, and whether it is a path."""
    found: dict[str, tuple[str, bool]] = {}
    for name, value in layer.items():
        is_file = name.endswith("_FILE") and names_a_file(name)
        variable = name.removesuffix("_FILE") if is_file else name
        if variable in found:
            problems.append(f"{variable} and {variable}_FILE are both set; keep one of them")
        found[variable] = (value, is_file)
    return found


def _read(winners: Mapping[str, tuple[str, bool]], problems: list[str]) -> Variables:
    values: dict[str, str] = {}
    files: dict[str, Path] = {}
    for variable, (text, is_file) in winners.items():
        if not is_file:
            values[variable] = text
            continue
        files[variable] = Path(text)
        try:
            values[variable] = read_secret_file(Path(text))
        except UnreadableFile as reason:
            problems.append(f"the file that {variable}_FILE names {reason}")
            continue
        if not values[variable]:
            problems.append(f"the file that {variable}_FILE names is empty")
    return Variables(values=values, files=files, problems=tuple(problems))


def _text(value: Any) -> str | None:
    """A value as the environment would have it; None when it says nothing."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
