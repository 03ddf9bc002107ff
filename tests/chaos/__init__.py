"""Chaos on the real thing: a real Kafka, a registry, Meta's emulator and several consumers.

A seed is a schedule of faults (``plan``); what befell whom is watched from outside (``watcher``),
and at the end the sets are compared (``account``). ``python -m tests.chaos --minutes 10`` runs it.
"""
