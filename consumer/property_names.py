"""How a client's property is written as a variable: ``ssl.ca.location`` is ``…_SSL_CA_LOCATION``.

A dot is written ``_``, an underscore ``__`` and a dash ``___``, as Confluent's images have it.
"""

import re
from collections.abc import Iterable, Mapping

from consumer.wording import did_you_mean


def property_name(part: str) -> str:
    """The property that the part of a variable after its prefix means."""
    return re.sub("_+", lambda run: _MEANT_BY.get(run[0], run[0]), part.lower())


def variable_part(name: str) -> str:
    """What follows the prefix in the variable for a property."""
    return name.translate(_WRITTEN_AS).upper()


def unknown_property(
    variable: str, prefix: str, *, names: Iterable[str], owner: str, hints: Mapping[str, str]
) -> str:
    """The sentence on a variable that sets none of ``names``, the properties of ``owner``.

    ``hints`` say of properties known from elsewhere what takes their place.
    """
    suffix = "_FILE" if variable.endswith("_FILE") else ""
    meant = property_name(variable.removeprefix(prefix).removesuffix(suffix))
    known = {name: f"{prefix}{variable_part(name)}{suffix}" for name in names}
    advice = f"; {hints[meant]}" if meant in hints else did_you_mean(meant, known)
    return f"{variable} names no property of {owner}{advice}"


def is_secret(variable: str) -> bool:
    """Whether the value that a variable gives a property must never be shown."""
    return _SECRET.search(variable) is not None


_MEANT_BY = {"_": ".", "__": "_", "___": "-"}
_WRITTEN_AS = str.maketrans({meant: written for written, meant in _MEANT_BY.items()})
_SECRET = re.compile("PASSWORD|SECRET|PASSPHRASE|PEM|JAAS|OAUTH|TOKEN|USER_INFO|PROXY|KINIT")
