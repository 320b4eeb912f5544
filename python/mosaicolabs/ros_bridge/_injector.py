"""Stores a bag as a sequence."""

import os
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores

from mosaicolabs._safe_console import SafeConsole
from mosaicolabs.comm import MosaicoClient
from mosaicolabs.enum import OnErrorPolicy, TopicLevelErrorPolicy
from mosaicolabs.ingest import FailedMessage, IngestResult, Messages, TopicPolicies, ingest
from mosaicolabs.logging_config import get_logger, setup_sdk_logging
from mosaicolabs.models.sensors import ImageFormat

from ._choose import BagOptions
from ._recording import BagRecording, open_bag
from .progress import ProgressManager
from .registry import ROSTypeRegistry
from .ros_bridge import Adapter

_logger = get_logger(__name__)


@dataclass
class ROSInjectionConfig:
    """Settings of an injection.

    Attributes:
        file_path: A `.bag`, `.db3` or `.mcap` file, or the folder of a ROS 2 bag.
        sequence_name: Name of the new sequence.
        metadata: User metadata of the sequence.
        host: Host of the daemon.
        port: Port of the daemon.
        ros_distro: Distribution that recorded a bag without definitions.
        on_error: What happens to the sequence if the injection fails.
        custom_msgs: `(package, folder of .msg files, store or None)` for types that the bag does not define.
        topics: Patterns such as `/camera/*`; `!` excludes, later ones win. None: all.
        log_level: Lowest level of the log of the package, on stderr.
        topics_on_error: What happens to a topic when one of its messages cannot be stored, for all topics or
            by name.
        adapter_overrides: Adapters by topic, instead of the registered ones.
        image_format: How raw images are stored: `PNG` (None; smaller) or `RAW` (faster).
        mosaico_api_key: The API key of the daemon.
        tls_cert_path: CA certificates to trust, PEM; switches TLS on.
        enable_tls: Use TLS, with the CAs of the system.
        client_cert_path: Certificate for a daemon that needs one.
        client_key_path: Its private key.
        known_only: Skip types without an adapter, as Mosaico 0.2 does, instead of making a class from their
            definition.
    """

    file_path: Path
    sequence_name: str
    metadata: dict[str, Any]
    host: str = "localhost"
    port: int = 6726
    ros_distro: Stores | None = None
    on_error: OnErrorPolicy = OnErrorPolicy.Delete
    custom_msgs: list[tuple[str, Path, Stores | None]] | None = None
    topics: list[str] | None = None
    log_level: str = "INFO"
    topics_on_error: TopicPolicies = TopicLevelErrorPolicy.Ignore
    adapter_overrides: dict[str, Adapter] | None = None
    image_format: ImageFormat | None = None
    mosaico_api_key: str | None = field(default=None, repr=False)
    tls_cert_path: str | os.PathLike[str] | None = None
    enable_tls: bool = False
    client_cert_path: str | os.PathLike[str] | None = None
    client_key_path: str | os.PathLike[str] | None = None
    known_only: bool = True


class RosbagInjector:
    """Stores a bag as a sequence of a daemon. Creating an injector configures the log of the package.

    Example:
        >>> config = ROSInjectionConfig(Path("flight.bag"), "flight-1", {"site": "north"})
        >>> result = RosbagInjector(config).run()  # doctest: +SKIP
        >>> result.messages, result.failed, result.recording.skipped  # doctest: +SKIP
    """

    def __init__(self, config: ROSInjectionConfig) -> None:
        self._config = config
        self._console = SafeConsole(stderr=True)
        setup_sdk_logging(config.log_level, pretty=True, console=self._console)

    def run(self, client: MosaicoClient | None = None) -> IngestResult:
        """Stores the bag, with progress bars on a terminal.

        Messages that cannot be decoded, translated or stored are skipped, counted, and reported by a
        notification of their topic; types without an adapter are listed with their counts. Ctrl-C aborts the
        injection and applies `on_error`.

        Args:
            client: Where to store it. None: connect to the host and port of the settings.

        Raises:
            FileNotFoundError: The bag does not exist.
            RecordingError: A `ValueError`: the bag cannot be read, or nothing in it can be stored.
            MosaicoError: The daemon cannot be reached, or storing failed.
        """
        config = self._config
        for package, folder, store in config.custom_msgs or ():
            ROSTypeRegistry.register_directory(package, folder, store)
        recording = open_bag(Path(config.file_path), self._options())
        with (
            nullcontext(client) if client else self._connect() as target,
            recording.loader as bag,
            ProgressManager(bag, self._console) as progress,
        ):
            progress.setup()
            result = ingest(
                target,
                # Only the metadata of the user, as in Mosaico 0.2.
                replace(recording, metadata={}, messages=lambda: _watched(recording, progress)),
                config.sequence_name,
                metadata=config.metadata,
                on_error=config.on_error,
                topics_on_error=self._policies(recording),
            )
            _log_summary(result)
        return result

    def _connect(self) -> MosaicoClient:
        config = self._config
        return MosaicoClient.connect(
            config.host,
            config.port,
            enable_tls=config.enable_tls,
            tls_cert_path=config.tls_cert_path,
            api_key=config.mosaico_api_key,
            client_cert_path=config.client_cert_path,
            client_key_path=config.client_key_path,
        )

    def _options(self) -> BagOptions:
        config = self._config
        return BagOptions(
            topics=config.topics,
            store=config.ros_distro or Stores.EMPTY,
            adapters=config.adapter_overrides or {},
            known_only=config.known_only,
            adapter_options={"output_format": config.image_format} if config.image_format else {},
        )

    def _policies(self, recording: BagRecording) -> TopicPolicies:
        """The policies by the names of the topics in the sequence."""
        policies = self._config.topics_on_error
        if isinstance(policies, TopicLevelErrorPolicy):
            return policies
        names = {topic.metadata["ros_topic"]: topic.name for topic in recording.topics}
        return {names.get(topic, topic): policy for topic, policy in policies.items()}


def _watched(recording: BagRecording, progress: ProgressManager) -> Messages:
    topics = {topic.name: topic.metadata["ros_topic"] for topic in recording.topics}
    failing: set[str] = set()
    for name, message in recording.messages():
        progress.advance_all(topics[name])
        if isinstance(message, FailedMessage) and name not in failing:
            failing.add(name)
            progress.update_status(topics[name], "messages fail", "red")
        yield name, message


def _log_summary(result: IngestResult) -> None:
    stored, seconds = sum(result.messages.values()), result.seconds
    _logger.info(
        "%s: %d messages in %d topics, %d bytes, %.1f s",
        result.handler.name,
        stored,
        len(result.messages),
        result.handler.total_size_bytes,
        seconds,
    )
    for skip in result.recording.skipped:
        _logger.warning("%s: %d messages skipped: %s", skip.source, skip.messages, skip.reason)
    for name, failures in result.failed.items():
        _logger.error("%s: %d messages not stored; first error: %s", name, failures.messages, failures.first)
