"""Pictures are encoded and decoded with the GIL released: other Python threads keep running."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mosaicolabs.models.sensors import CompressedImage, Image, ImageFormat

pytestmark = pytest.mark.alone  # another worker may have the processor that another thread needs

PIXELS = np.random.default_rng(0).integers(0, 255, (1000, 1500, 3), np.uint8)
PICTURE = PillowImage.fromarray(np.tile(PIXELS, (2, 2, 1)))
SOME = 5


def turns_of_another_thread(work: Callable[[], Any]) -> int:
    """How often another thread gets the GIL while `work` runs, which is never asked to give it away."""
    turns, started, ended = [0], threading.Event(), threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            turns[0] += 1
            started.set()
            time.sleep(0)

    thread = threading.Thread(target=go_on)
    interval = sys.getswitchinterval()
    thread.start()
    started.wait()
    sys.setswitchinterval(1000)
    time.sleep(4 * interval)  # it may wait for its turn by the old interval
    try:
        before = turns[0]
        work()
        return turns[0] - before
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        thread.join()


def lets_others_in(work: Callable[[], Any]) -> bool:
    """Tried again, since on a busy machine the other thread may not have a processor."""
    return any(turns_of_another_thread(work) >= SOME for _ in range(5))


def test_pure_python_work_holds_the_gil() -> None:
    assert not lets_others_in(lambda: sum(range(1_000_000))), "else the tests below say nothing"


@pytest.mark.parametrize("format", [ImageFormat.PNG, ImageFormat.JPEG])
def test_other_threads_run_while_a_picture_is_compressed(format: ImageFormat) -> None:
    image = PICTURE if format is ImageFormat.JPEG else PICTURE.crop((0, 0, 1000, 1000))
    assert lets_others_in(lambda: CompressedImage.from_image(image, format))
    picture = CompressedImage.from_image(image, format)
    assert lets_others_in(picture.to_image)


def test_other_threads_run_while_raw_pixels_are_wrapped() -> None:
    pixels = PIXELS.tobytes()
    assert lets_others_in(lambda: Image.from_linear_pixels(pixels, 4500, 1000, 1500, "rgb8"))
    image = Image.from_linear_pixels(pixels, 4500, 1000, 1500, "rgb8")
    assert lets_others_in(image.to_linear_pixels)
