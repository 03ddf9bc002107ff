"""Writes the pages that are generated from the code: ``python docs/generate.py`` (``make docs``).

``--check`` only compares, and exits 1 when a page is stale; a test does the same.
"""

import json
import sys
from pathlib import Path

from event_page import event_page

from consumer.destinations import json_schema
from consumer.kafka_settings import (
    CONSUMER_DEFAULTS,
    CONSUMER_FIXED,
    PRODUCER_DEFAULTS,
    PRODUCER_FIXED,
)
from consumer.settings import describe

DOCS = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py from the code. Change the code, then run `make docs`. -->"


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    return {
        DOCS / "configuration.md": configuration(),
        DOCS / "event.md": f"{MADE}\n\n{event_page()}",
        DOCS / "destinations.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }


def configuration() -> str:
    """Every setting, with its default and what it does."""
    settings = "\n".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {text} |"
        for name, default, text in describe()
    )
    properties = json_schema()["$defs"]["Destination"]["properties"]
    destination = "\n".join(
        f"| `{name}` | {_default(entry)} | {entry['description']} |"
        for name, entry in properties.items()
    )
    fixed = _listed({**CONSUMER_FIXED, **PRODUCER_FIXED})
    ours = _listed({**CONSUMER_DEFAULTS, **PRODUCER_DEFAULTS})
    return f"""{MADE}

# Configuration

The command line (`--set NAME=VALUE`) wins over the environment, that over the settings file, that
over the defaults. A name that does not exist, or a value that cannot be, is refused at the start:
one sentence on stderr, exit code 2. Sizes may be written as `4MiB`.

## Settings

| variable | default | what it does |
|---|---|---|
{settings}

A secret (`CONVERSIONS_ACCESS_TOKEN`, `CONVERSIONS_APP_SECRET`) and every `KAFKA_` and
`SCHEMA_REGISTRY_` variable may be given as `<NAME>_FILE`, the path of a file that holds the value.
Token files are read again when they change.

The settings file (`CONVERSIONS_SETTINGS_FILE`) is YAML with the same names as keys.

## Kafka

Any property of librdkafka, as `KAFKA_<PROPERTY>` in capitals with underscores for dots:
`KAFKA_BOOTSTRAP_SERVERS`, `KAFKA_SECURITY_PROTOCOL`, `KAFKA_SASL_MECHANISM`. With `KAFKA_CONSUMER_`
or `KAFKA_PRODUCER_` it is for one of the two clients only. Two underscores stand for one, three for
a dash.

These are ours alone, because the delivery guarantees rest on them; another value is refused:
{fixed}, and `group.id`, which is `CONVERSIONS_GROUP_ID`.

These are our defaults, and may be set otherwise: {ours}.
With `KAFKA_CONSUMER_GROUP_PROTOCOL=consumer` the assignor is left to the brokers.

What Kubernetes puts into the environment for Services called `conversions` or `kafka` is ignored.

## Schema registry

`SCHEMA_REGISTRY_URL`, `SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO`, `SCHEMA_REGISTRY_SSL_CA_LOCATION` and
whatever else Confluent's registry client knows. Without a URL, records must be in Avro's
single-object encoding, with our schema or one of the folder `CONVERSIONS_SCHEMAS_DIR`.

## Destinations file

A YAML list (`CONVERSIONS_DESTINATIONS_FILE`); [its JSON schema](destinations.schema.json). It is
read again when it changes: a mistake in it keeps the old destinations, and says so in the log.

| key | default | what it does |
|---|---|---|
{destination}

```yaml
- id: 1729525464415281
  name: Web shop
  accessTokenFile: /run/secrets/meta/web-shop
  defaultCountry: US
- id: 2729525464415282
  name: CRM
  accessTokenFile: /run/secrets/meta/crm
  actionSource: crm
  actionSources:
    call_centre: phone_call
```

Without a file, `CONVERSIONS_PIXEL_ID` and `CONVERSIONS_ACCESS_TOKEN` name the one destination.
"""


def _default(entry: dict[str, object]) -> str:
    default = entry.get("default")
    if default is None or default == {}:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _listed(properties: dict[str, str]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in properties.items())


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them."""
    stale = [path for path, text in pages().items() if not _is(path, text)]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.name} is stale: run `make docs`", file=sys.stderr)  # noqa: T201
        else:
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
