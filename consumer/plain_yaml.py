"""YAML as people mean it: every plain word stays the text that was written.

``defaultCountry: NO`` is Norway and not false, an id of sixteen digits keeps its leading zero, and
a key that stands twice is a mistake instead of a silent replacement. Whoever reads the text knows
its type better than YAML does.
"""

from typing import Any

import yaml


class YamlMistake(Exception):
    """The text is not YAML that we read. The message is a sentence's end and quotes no values."""


def load_plain(text: str) -> Any:
    """The document's mappings, lists and texts; what is empty, ``~`` or ``null`` is ``None``.

    Raises ``YamlMistake``.
    """
    mistake: str
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader, with fewer types
    except YamlMistake:
        raise
    except yaml.MarkedYAMLError as error:
        mistake = f"is not valid YAML{_place(error.problem_mark)}"
    except (yaml.YAMLError, ValueError, RecursionError):
        mistake = "is not valid YAML"
    # Outside the handler: the library's own error, which quotes the text, is not kept as context.
    raise YamlMistake(mistake)


class _PlainLoader(yaml.SafeLoader):
    """A safe loader that knows no numbers, dates or booleans, and no key twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to say it
        first: [(tag, form) for tag, form in resolvers if tag.endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As the parent does it; afterwards is too late, when merged keys stand beside own ones."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise YamlMistake(f"has the key {key.value} twice{_place(key.start_mark)}")
                seen.add(key.value)
        return node


def _place(mark: yaml.Mark | None) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
