"""What of the chart follows from the code and from ``helm/values.yaml``: the schema's settings and
destinations, which values may not be taken away, and the table of values in its README."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from consumer.destinations import json_schema
from consumer.setting_fields import SECRETS, Fields, variable_of

CHART = Path(__file__).parent.parent / "helm"
OF_THE_CHART = {
    "destinations_file",
    "dlq_key_file",
    "metrics_host",
    "metrics_port",
    "schemas_dir",
    "settings_file",
}
"""Settings that the chart gives from values of its own, as it knows where it mounts what."""
LEFT_TO_OTHERS = {"behavior", "fallback", "strategy"}
"""Blocks that may be null: then Kubernetes or KEDA does what it does without them."""
TABLE = re.compile("(?<=<!-- values -->\n).*(?=<!-- /values -->)", re.DOTALL)
KEY = re.compile(r"( *)([A-Za-z0-9]+):(?: (.*))?")


class Value(NamedTuple):
    """One line of the README's table: where it stands in the values, and the comment before it."""

    path: tuple[str, ...]
    words: str


def values_schema() -> str:
    """``helm/values.schema.json``, with the settings and destinations that the code has.

    What a template looks into is required: in somebody's values a block whose lines are all
    commented out is null, and to Helm that takes the value away.
    """
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    schema["properties"]["settings"]["properties"] = {
        variable_of(name): {"$ref": "#/$defs/setting", "description": field.description}
        for name, field in Fields.model_fields.items()
        if name not in SECRETS | OF_THE_CHART
    }
    schema["$defs"]["destination"] = _destination()
    _require(schema, yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def chart_readme() -> str:
    """``helm/README.md``, with the table of the values that have a comment of two dashes."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    rows = [
        f"| `{'.'.join(value.path)}` | {_default(values, value.path)} | {value.words} |\n"
        for value in commented(text)
    ]
    table = "".join(["| value | default | what it does |\n|---|---|---|\n", *rows])
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    return TABLE.sub(lambda _: table, readme)


def commented(text: str) -> Iterator[Value]:
    """The values with a comment, in their order. A comment is one line."""
    above: list[str] = []
    words: str | None = None
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            words = stripped.removeprefix("# -- ")
        elif found := KEY.fullmatch(line):
            above = [*above[: len(found[1]) // 2], found[2]]
            if words is not None:
                yield Value(tuple(above), words)
            words = None


def _require(schema: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Require what has a default, in groups as well."""
    groups = schema["properties"]
    present = [name for name, value in values.items() if value is not None]
    schema["required"] = sorted(set(present) - LEFT_TO_OTHERS)
    for name in present:
        if "properties" in groups[name]:
            _require(groups[name], values[name])


def _default(values: Mapping[str, Any], path: tuple[str, ...]) -> str:
    found: Any = values
    for key in path:
        found = found[key]
    text = json.dumps(found, ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else "see values.yaml"


def _destination() -> dict[str, Any]:
    """An entry of the destinations file, but that its token is a key of the Secret."""
    schema = json_schema()
    entry: dict[str, Any] = _resolved(schema["$defs"]["Destination"], schema["$defs"])
    properties = {name: _bare(each) for name, each in entry["properties"].items()}
    del properties["accessTokenFile"]
    # YAML reads digits as a number, and Helm numbers as floating point: a long id would be another.
    properties["id"]["type"] = properties["namespaceId"]["anyOf"][0]["type"] = "string"
    words = "Key of secrets.meta.existingSecret that holds the token."
    properties["accessTokenKey"] = {"$ref": "#/$defs/secretKey", "description": words}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["id"],
        "properties": properties,
    }


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with what it refers to in place."""
    if isinstance(schema, list):
        return [_resolved(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions) | rest
    return {key: _resolved(value, definitions) for key, value in schema.items()}


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    """Without the default and the title: the application has the one, the other says nothing."""
    return {key: value for key, value in schema.items() if key not in ("default", "title")}
