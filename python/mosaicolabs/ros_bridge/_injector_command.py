"""The command `mosaicolabs.ros_injector`."""

import json
from pathlib import Path
from typing import Any

import click
from rosbags.typesys import Stores

from mosaicolabs._terminal.ingest_report import failed_summary, print_report, report
from mosaicolabs._terminal.options import Add, ManyValues
from mosaicolabs._terminal.security_options import security_options, with_security
from mosaicolabs.comm.security import Security
from mosaicolabs.comm.target import DEFAULT_HOST, DEFAULT_PORT
from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.models.sensors import ImageFormat

from ._injector import RosbagInjector, ROSInjectionConfig

_EPILOG = """\
Exit codes: 0 all messages of the selected topics are stored (types without an adapter are listed), 1 failure,
or some messages are not stored, 2 wrong usage, 130 interrupted.
"""


@click.command(
    cls=ManyValues,
    many={"--topics": "/", "--custom-msgs": "="},
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.argument("bag_path", type=click.Path(path_type=Path))
@click.option("--name", "-n", required=True, help="Name of the new sequence: letters, digits, - and _.")
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="A running mosaicod.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Its port.")
@security_options
@click.option("--topics", multiple=True, metavar="PATTERN ...", help="Such as /cam*; !PATTERN excludes.")
@click.option("--metadata", metavar="JSON|FILE", help="User metadata: a JSON object, or a file with one.")
@click.option(
    "--ros-distro",
    type=click.Choice([store.name.lower() for store in Stores]),
    help="Distribution that recorded a bag without definitions.",
)
@click.option(
    "--log",
    "-l",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
    default="INFO",
    show_default=True,
)
@click.option(
    "--on-error",
    type=click.Choice([policy.value for policy in OnErrorPolicy]),
    default=OnErrorPolicy.Delete.value,
    show_default=True,
    help="If the injection fails halfway: delete the sequence, or keep what is stored and report the error.",
)
@click.option(
    "--custom-msgs",
    multiple=True,
    metavar="PACKAGE=FOLDER ...",
    help="Folders of .msg files, for types that the bag does not define.",
)
@click.option(
    "--image-format",
    type=click.Choice([ImageFormat.PNG.value, ImageFormat.RAW.value]),
    default=ImageFormat.PNG.value,
    show_default=True,
    help="How raw images are stored; png is smaller, raw faster.",
)
@with_security
def inject(
    bag_path: Path,
    name: str,
    host: str,
    port: int,
    topics: tuple[str, ...],
    metadata: str | None,
    ros_distro: str | None,
    log: str,
    on_error: str,
    custom_msgs: tuple[str, ...],
    image_format: str,
    security: Add | None,
) -> None:
    """Store the ROS bag at BAG_PATH as a new sequence of a running mosaicod."""
    settings = Security.from_env()
    if security is not None:
        settings = security(settings)
    config = ROSInjectionConfig(
        file_path=bag_path,
        sequence_name=name,
        metadata={"rosbag_injection": bag_path.name, **_metadata(metadata)},
        host=host,
        port=port,
        ros_distro=Stores[ros_distro.upper()] if ros_distro else None,
        on_error=OnErrorPolicy(on_error),
        custom_msgs=[_package(item) for item in custom_msgs],
        topics=list(topics) or None,
        log_level=log.upper(),
        image_format=ImageFormat(image_format),
        mosaico_api_key=settings.api_key,
        tls_cert_path=settings.tls_cert_path,
        enable_tls=settings.enable_tls,
        client_cert_path=settings.client_cert_path,
        client_key_path=settings.client_key_path,
    )
    result = RosbagInjector(config).run()
    document = report(result, place=f"{host}:{port}", format_name="rosbag")
    print_report(document)
    if problem := failed_summary(document):
        raise click.ClickException(problem)


def _package(text: str) -> tuple[str, Path, Stores | None]:
    package, equals, folder = text.partition("=")
    if not equals:
        raise click.BadParameter(f"`{text}` is not of the form PACKAGE=FOLDER", param_hint="--custom-msgs")
    return package, Path(folder), None


def _metadata(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        content = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        document = json.loads(content)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"--metadata `{text}` is neither JSON nor a file with JSON: {error}"
        ) from error
    if not isinstance(document, dict):
        raise click.ClickException(f"--metadata `{text}` is not a JSON object")
    return document
