"""What the services have in common that tests run against: a real Postgres, a real MinIO."""

import os
import socket
import subprocess


class MissingServiceError(Exception):
    """A service cannot be started here; the text names the way to get it."""


def run_installer(*command: str, **environment: str) -> None:
    """Runs a command that installs something; shows its output if it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MissingServiceError(f"`{' '.join(command)}` failed with code {done.returncode}:\n{done.stdout}")


def find_unused_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
