"""Writes `images/terminal.svg`, the picture of the README: commands and what they print, as they are.

`python docs/write_terminal.py`, after the output of these commands has changed.
"""

import contextlib
import io
import os
import re
import shlex
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from mosaicolabs import MosaicoClient
from mosaicolabs.cli import main
from mosaicolabs.demo import Flight, record

FILE = Path(__file__).parent / "images/terminal.svg"
WIDTH = 96
COMMANDS = (
    "mosaico ls",
    "mosaico info flight-2",
    "mosaico query 'gps.position.z > 440' --times",
    "mosaico cat flight-2 --topics /gps --to +1s --format table --columns gps.position,gps.velocity",
)


def record_flights(store: Path, seconds: int) -> None:
    """Three generated flights."""
    with MosaicoClient.embedded(store) as client:
        for number in (1, 2, 3):
            record(client, Flight(seconds * number, number), f"flight-{number}", lambda *_: None)


def printed(command: str) -> str:
    """What a command prints; it must succeed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            main(shlex.split(command)[1:])
        except SystemExit as end:
            if end.code != 0:
                raise RuntimeError(f"{command} ended with {end.code}") from end
    return out.getvalue()


def picture(seconds: int = 20) -> str:
    """The commands and their output as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    before = os.environ.get("MOSAICO_STORE")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "robots"
        os.environ["MOSAICO_STORE"] = str(store)
        try:
            record_flights(store, seconds)
            for number, command in enumerate(COMMANDS):
                text = printed(command).replace(str(store), "~/robots").rstrip()
                head, _, rest = text.partition("\n")
                console.print(Text(("\n" if number else "") + f"$ {command}", "bold green"))
                console.print(Text(head, "bold"))
                console.print(Text(rest), soft_wrap=True)
        finally:
            if before is None:
                del os.environ["MOSAICO_STORE"]
            else:
                os.environ["MOSAICO_STORE"] = before
    svg = console.export_svg(title="mosaico", theme=MONOKAI, unique_id="terminal")
    # A page must not load fonts from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "ui-monospace, Menlo, Consolas")


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(picture(), encoding="utf-8")
