"""The page of a folder and of a daemon: `client.view()` and `mosaico view`."""

import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.record import record_numbers
from PIL import Image as PillowImage

from mosaicolabs import Message, MosaicoClient
from mosaicolabs.exceptions import ConnectionFailedError, InvalidInputError, NotFoundError
from mosaicolabs.models.sensors import CompressedImage, Image, ImageFormat


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def names(base: str) -> list[str]:
    return [one["name"] for one in ask(f"{base.rstrip('/')}/api/v1/sequences")["sequences"]]


def test_an_embedded_daemon_serves_its_page_until_it_ends(tmp_path: Path) -> None:
    with MosaicoClient.embedded(tmp_path / "store") as client:
        record_numbers(client, "run-1", {"t": [(1, 1), (2, 2)]})
        page = client.view()
        assert names(page.url) == ["run-1"]
        view = client.view("run-1")
        assert str(view) == f"{page.url}#/s/run-1"
        assert f'src="{page.url}#/s/run-1"' in view._repr_html_()
        with pytest.raises(NotFoundError, match="`run-2` does not exist"):
            client.view("run-2")
        with MosaicoClient.embedded(tmp_path / "store") as second:
            assert second.view().url == page.url, "one daemon, one port"
        with urllib.request.urlopen(page.url, timeout=20) as answer:
            assert "script-src 'self'" in answer.headers["content-security-policy"]
    with pytest.raises(OSError, match="refused"):
        names(page.url)


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with MosaicoClient.embedded(tmp_path / "one") as one, MosaicoClient.embedded(tmp_path / "two") as two:
        port = int(one.view().url.rstrip("/").rpartition(":")[2])
        with pytest.raises(InvalidInputError, match=f"cannot listen on 127.0.0.1:{port}"):
            two.view(port=port)
        assert names(two.view().url) == []


def test_the_page_of_a_daemon_is_at_its_http_port(tmp_path: Path) -> None:
    with Daemon(tmp_path / "store") as daemon, daemon.connect() as client:
        assert daemon.monitor is not None, "there is an HTTP port by default"
        assert client.view(url=daemon.monitor).url == f"{daemon.monitor}/"
        with pytest.raises(ConnectionFailedError, match=r"no HTTP port of the daemon answers at http://127"):
            client.view(url="http://127.0.0.1:1")


def test_pictures_are_shown(tmp_path: Path) -> None:
    grey = PillowImage.linear_gradient("L").resize((64, 32))
    with MosaicoClient.embedded(tmp_path / "store") as client:
        with client.sequence_create("run-1") as writer:
            raw = writer.topic_create("raw", {}, Image)
            jpeg = writer.topic_create("jpeg", {}, CompressedImage)
            for time_ns in (10, 20):
                raw.push(Message(timestamp_ns=time_ns, data=Image.from_pillow(grey)))
                picture = CompressedImage.from_image(grey.convert("RGB"), ImageFormat.JPEG)
                jpeg.push(Message(timestamp_ns=time_ns, data=picture))
        base = f"{client.view().url}api/v1/sequences/run-1/topics"
        with urllib.request.urlopen(f"{base}/raw/frame?at=15", timeout=20) as answer:
            shown = PillowImage.open(io.BytesIO(answer.read()))
            assert answer.headers["content-type"] == "image/png"
            assert (answer.headers["x-timestamp-ns"], answer.headers["x-next-ns"]) == ("10", "20")
        assert shown.tobytes() == grey.tobytes()
        with urllib.request.urlopen(f"{base}/jpeg/frame?at=20", timeout=20) as answer:
            assert answer.read() == picture.data
            assert answer.headers["x-next-ns"] is None
        with urllib.request.urlopen(f"{base}/jpeg/frame?at=20&width=16", timeout=20) as answer:
            small = PillowImage.open(io.BytesIO(answer.read()))
        assert (small.format, small.size) == ("JPEG", (16, 8))
        shown_size = ask(f"{base}/jpeg/messages?limit=1")["messages"][0]["data"]["data"]
        assert shown_size == {"bytes": len(picture.data)}


def test_the_command_serves_a_folder_until_it_is_interrupted(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with MosaicoClient.embedded(store) as client:
        record_numbers(client, "run-1", {"t": [(1, 1)]})
    command = [sys.executable, "-m", "mosaicolabs.cli", "view", "run-1", "--store", str(store)]
    arguments = [*command, "--no-browser", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as viewing:
        try:
            assert viewing.stdout is not None
            url = json.loads(viewing.stdout.readline())["url"]
            assert url.endswith("/#/s/run-1")
            assert names(url.partition("#")[0]) == ["run-1"]
            os.kill(viewing.pid, signal.SIGINT)
            assert viewing.wait(timeout=30) == 0
        finally:
            viewing.kill()
    wrong = subprocess.run([*command, "--url", "http://x"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "--url is for daemons" in wrong.stderr) == (2, True)
