"""``python -m consumer`` is ``conversions``."""

from consumer.cli import main

main()
