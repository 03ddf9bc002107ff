"""One member of the consumer group, put together from its settings and run until told to stop."""

import logging
import queue
import threading
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from consumer import __version__
from consumer.assembly import (
    about_from,
    deliveries_from,
    guard_from,
    meta_from,
    preparation_from,
    senders_from,
    traces_from,
)
from consumer.clock import SystemClock
from consumer.destination_files import DestinationsFile, destinations_from, tokens_from
from consumer.destinations import DestinationsError
from consumer.flow import Limits
from consumer.graph_versions import day_of, outlook
from consumer.journal import Journal
from consumer.kafka import KafkaDeadLetters, KafkaSource
from consumer.kafka_credentials import KafkaCredentials
from consumer.kafka_files import KafkaFiles
from consumer.kafka_settings import Client
from consumer.leftover import Left
from consumer.letter_box import DeadLetters, LetterBox
from consumer.log_ends import LogEnds
from consumer.match_keys import warm_up
from consumer.metrics import Metrics
from consumer.model import PixelId, Place
from consumer.pipeline import Pipeline, Timing
from consumer.probes import Health, Probes, Resuming
from consumer.registry_client import RegistryConfiguration
from consumer.schema_registry import ConfluentRegistry, Registry, Schemas, local_schemas
from consumer.sealing_keys import KeyFile, KeyFileMistake, SealedDeadLetters
from consumer.seams import Log
from consumer.settings import Settings
from consumer.settle import Ledger
from consumer.signals import heed_signals
from consumer.skip import ANSWER_SECONDS, Skipping
from consumer.status import Status, probe_facts
from consumer.status_board import StatusBoard
from consumer.status_page import status_page
from consumer.watches import Watches
from consumer.wishes import Wishes

DAY_SECONDS = 86_400.0
FILES_SECONDS = 5.0
GAUGES_SECONDS = 1.0
ENDING_SECONDS = 10.0
"""Beyond the grace time: the last commit, leaving the group, closing the edges."""
RESUMES_WAITING_MAX = 100


class Member:
    """Builds every part, starts the threads around the loop, and turns it."""

    def __init__(self, settings: Settings, *, log: Log, registry: Registry | None = None) -> None:
        """Raises DestinationsError, ValueError or OSError with a sentence for the operator."""
        self._settings = settings
        self._log = log
        self._clock = SystemClock()
        self._stopping = threading.Event()
        self._joined = False
        self._files_at = self._gauges_at = self._version_at = 0.0
        self._resumes: queue.Queue[PixelId] = queue.Queue(RESUMES_WAITING_MAX)
        destinations = destinations_from(settings)
        self._destinations_file = (
            DestinationsFile(path=settings.destinations_file, in_force=destinations)
            if settings.destinations_file is not None
            else None
        )
        self._key_file = KeyFile(settings.dlq_key_file) if settings.dlq_key_file else None
        self._tokens = tokens_from(settings, destinations)
        self._app_secret = settings.rotating_secret("CONVERSIONS_APP_SECRET")
        traces = traces_from(settings, clock=self._clock, log=log)
        self._journal = Journal(metrics=self._metrics(settings), log=log, traces=traces)
        self._journal.metrics.values.currencies = settings.value_currencies
        self._journal.metrics.configured(each.id for each in destinations)
        self._ledger = Ledger()
        self._deliveries = deliveries_from(settings, is_over=self._ledger.is_over)
        self._guard = guard_from(settings)
        self._meta = meta_from(settings, self._tokens)
        self._senders = senders_from(settings, self._meta)
        self._schemas = Schemas(
            registry=registry or _registry(settings),
            local=local_schemas(settings.schemas_dir),
            now=self._clock.now,
        )
        self._probes = self._build_probes(settings)
        kafka_log = logging.getLogger("librdkafka")
        self._log_ends = LogEnds(configuration=settings.kafka_consumer, topic=settings.topic)
        self._source = KafkaSource(configuration=settings.kafka_consumer, logger=kafka_log)
        self._dead_letters = KafkaDeadLetters(
            configuration=settings.kafka_producer,
            topic=settings.dlq_topic,
            logger=kafka_log,
            heard=self._source.hear,
            replaced=self._journal.producer_replaced,
            now=self._clock.now,
        )
        self._credentials = KafkaCredentials(
            settings=settings,
            clients={
                Client.CONSUMER: (self._source, self._log_ends),
                Client.PRODUCER: (self._dead_letters,),
            },
        )
        self._kafka_files = KafkaFiles(settings)
        self._watches = Watches(settings, tokens=self._tokens, journal=self._journal)
        self._letters = LetterBox(dead_letters=self._sealed())
        self._preparation = preparation_from(settings, destinations)
        self._pipeline = self._build_pipeline(settings)
        self._board = self._build_board(settings)
        self._wishes = Wishes(
            ledger=self._ledger,
            skip=self._pipeline.skip,
            skipped=self._journal.skipped,
            wait_seconds=ANSWER_SECONDS,
        )

    @property
    def address(self) -> str:
        """Where metrics and probes are served."""
        return self._probes.address

    @property
    def is_stuck(self) -> bool:
        """Whether the Kafka client hangs in a call: then the process can only be left at once."""
        return self._source.stuck

    def run(self) -> Left:
        """Consume until ``stop``. Returns what was left behind."""
        settings = self._settings
        warm_up()
        self._probes.start()
        self._schemas.start()
        self._log_ends.start()
        self._watches.start()
        self._log.info(
            "consuming",
            version=__version__,
            metrics=self.address,
            settings_id=settings.fingerprint,
            settings=settings.masked(),
        )
        self._journal.test_mode(self._preparation.destinations, settings.test_code)
        self._source.subscribe(
            settings.topic,
            tenure_of=self._ledger.tenure_of,
            assigned=self._pipeline.assigned,
            revoked=self._pipeline.revoked,
            lost=self._pipeline.lost,
        )
        try:
            while not self._stopping.is_set():
                self._pipeline.turn()
                self._look_around()
            self._log.info("draining", open=self._ledger.open_records)
            left = self._pipeline.close()
        finally:
            self._close_edges()
        self._journal.stopped(left)
        return left

    def stop(self) -> None:
        """End the run: finish what is in flight within the grace time. Safe from any thread."""
        self._pipeline.end_within_grace()
        self._stopping.set()

    def mark_commits(self, mark: str) -> None:
        """Keep this with every offset that is committed; before ``run``."""
        self._source.mark_commits(mark)

    def stop_on_signals(self, last_words: Callable[[str], bytes]) -> None:
        """SIGTERM and SIGINT stop the run; a second one, or an end that does not come, ends the
        process at once, with ``last_words`` of why."""
        seconds_max = self._settings.grace_seconds + ENDING_SECONDS
        heed_signals(self.stop, seconds_max=seconds_max, last_words=last_words)

    def _look_around(self) -> None:
        """What is done every now and then, between two turns."""
        now = self._clock.now()
        while not self._resumes.empty():
            self._pipeline.resume(self._resumes.get())
        self._wishes.turn()
        if now < self._gauges_at:
            return
        self._gauges_at = now + GAUGES_SECONDS
        if not self._joined and self._has_joined():
            self._joined = True
            self._journal.kafka_answers()
            self._log.info("joined the group", group=self._settings.group_id)
        self._pipeline.gauges()
        metrics = self._journal.metrics
        metrics.poll_loop.set({(): time.time()})
        metrics.destination_states(
            {
                outbox.destination: (
                    outbox.state.value,
                    outbox.halted.reason.value if outbox.halted else "",
                )
                for outbox in self._deliveries.outboxes.values()
            }
        )
        if self._log_ends.partitions is not None:
            metrics.topic(self._settings.topic, self._log_ends.partitions)
        self._log_ends.watch(self._ledger.partitions)
        ends = self._log_ends.newest()
        if ends is not None:
            self._journal.log_ends(ends, self._ledger.committable_all())
        self._board.look(
            self._preparation.destinations, joined=self._joined, stopping=self._stopping.is_set()
        )
        self._watches.turn(
            now,
            ours=any(each.partition == 0 for each in self._ledger.partitions),
            destinations=[each.id for each in self._preparation.destinations],
        )
        if now >= self._files_at:
            self._files_at = now + FILES_SECONDS
            self._look_at_files()
        if now >= self._version_at:
            self._version_at = now + DAY_SECONDS
            version = outlook(self._settings.graph_version, day_of(self._clock.now_ms()))
            if not version.is_fine:
                self._journal.graph_version(version)

    def _resume(self, destination: PixelId) -> Resuming:
        """Called on the probes' threads: the loop does it at its next turn."""
        if destination not in self._deliveries.outboxes and destination not in self._guard.held:
            return Resuming.NOTHING_HERE
        try:
            self._resumes.put_nowait(destination)
        except queue.Full:
            return Resuming.TOO_MANY
        return Resuming.WILL_BE

    def _skip(self, place: Place) -> Skipping:
        """Called on the probes' threads, and waits there for the loop."""
        return self._wishes.ask(place)

    def _has_joined(self) -> bool:
        """Whether the coordinator has answered. Under the new group protocol the client makes up
        its member id itself, and a surplus member hears of no assignment."""
        if self._settings.kafka_consumer.get("group.protocol") != "consumer":
            return self._source.joined
        return self._log_ends.heard or bool(self._ledger.partitions)

    def _sealed(self) -> DeadLetters:
        """The producer of dead letters, behind what seals them where that is wanted."""
        if self._key_file is None:
            return self._dead_letters
        return SealedDeadLetters(dead_letters=self._dead_letters, key_file=self._key_file)

    def _look_at_keys(self, key_file: KeyFile) -> None:
        news = key_file.poll()
        if isinstance(news, KeyFileMistake):
            self._log.error("the key file is wrong; the old keys stay", problem=str(news))
        elif news is not None:
            self._log.info("the keys of dead letters changed", sealing_with=news.writing)

    def _look_at_files(self) -> None:
        if self._key_file is not None:
            self._look_at_keys(self._key_file)
        if self._credentials.pass_on():
            self._log.info("Kafka credentials changed; new connections use them")
        if restart_for := self._kafka_files.changed():
            told = "files that Kafka's clients read once changed; the next start uses them"
            self._log.warning(told, variables=restart_for)
        news = self._destinations_file.poll() if self._destinations_file else None
        if isinstance(news, DestinationsError):
            self._journal.metrics.destinations_file_mistakes.inc()
            self._log.error("the destinations file is wrong; the old one stays", problems=str(news))
        elif news is not None:
            self._tokens.use(news)
            self._preparation = self._preparation._replace(destinations=news)
            self._pipeline.use(self._preparation)
            self._journal.metrics.configured(each.id for each in news)
            self._log.info("destinations changed", destinations=len(news))
            self._journal.test_mode(news, self._settings.test_code)
        self._pipeline.nudge(
            self._tokens.of,
            app_secret=self._app_secret.current(),
            configured=[each.id for each in self._preparation.destinations],
        )

    def _health(self) -> Health:
        """Called on the probes' threads."""
        age = self._clock.now() - self._pipeline.heartbeat
        status = self._status()
        return Health(
            live=age < self._settings.liveness_seconds,
            ready=status.joined and not status.stopping,
            facts={"heartbeat_age_seconds": round(age, 3), **probe_facts(status)},
        )

    def _page(self, refreshing: bool) -> bytes:
        """Called on the probes' threads."""
        return status_page(self._status(), now_ms=self._clock.now_ms(), refreshing=refreshing)

    def _status(self) -> Status:
        """What the loop showed last, with what may be looked at from any thread as it is now: a
        drain shows nothing."""
        return self._board.newest._replace(
            joined=self._joined, stopping=self._stopping.is_set(), letters=self._board.letters()
        )

    def _close_edges(self) -> None:
        self._log_ends.stop()
        self._watches.stop()
        self._schemas.stop()
        self._senders.stop()
        self._dead_letters.close(1.0)
        self._meta.close()
        self._journal.traces.close()
        self._probes.stop()

    def _build_probes(self, settings: Settings) -> Probes:
        try:
            return Probes(
                host=settings.metrics_host,
                port=settings.metrics_port,
                registry=self._journal.metrics.registry,
                health=self._health,
                page=self._page,
                resume=self._resume,
                skip=self._skip,
            )
        except OSError as error:
            where = f"{settings.metrics_host}, port {settings.metrics_port}"
            names = "CONVERSIONS_METRICS_HOST and CONVERSIONS_METRICS_PORT"
            raise ValueError(f"{names}: {where}: {error.strerror}") from None

    def _metrics(self, settings: Settings) -> Metrics:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return Metrics(registry=registry, version=__version__, graph_version=settings.graph_version)

    def _build_board(self, settings: Settings) -> StatusBoard:
        return StatusBoard(
            about=about_from(settings, started_ms=self._clock.now_ms()),
            clock=self._clock,
            pipeline=self._pipeline,
            ledger=self._ledger,
            deliveries=self._deliveries,
            letters=self._letters,
            guard=self._guard,
            journal=self._journal,
            destinations=self._preparation.destinations,
        )

    def _build_pipeline(self, settings: Settings) -> Pipeline:
        return Pipeline(
            source=self._source,
            schemas=self._schemas,
            preparation=self._preparation,
            ledger=self._ledger,
            deliveries=self._deliveries,
            letters=self._letters,
            guard=self._guard,
            outgoing=self._senders,
            limits=Limits(
                in_flight_events=settings.in_flight_events,
                in_flight_bytes=settings.in_flight_bytes,
                uncommitted_records=settings.uncommitted_records,
                uncommitted_seconds=settings.uncommitted_seconds,
                spill_after_seconds=settings.spill_after_seconds,
            ),
            timing=Timing(
                commit_seconds=settings.commit_seconds, grace_seconds=settings.grace_seconds
            ),
            clock=self._clock,
            journal=self._journal,
        )


def _registry(settings: Settings) -> Registry | None:
    if not settings.schema_registry:
        return None
    return ConfluentRegistry(RegistryConfiguration(settings).current)
