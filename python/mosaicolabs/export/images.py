"""Writer of pictures: one folder per topic, with one file per picture and their times."""

import io
from pathlib import Path

import numpy as np

from mosaicolabs.models import Message
from mosaicolabs.models.sensors import CompressedImage, Image, ImageFormat
from mosaicolabs.models.sensors._annex_b import VIDEO_FORMATS

from ._cameras import TimesFile, format_of, plan_cameras
from ._errors import ExportError
from ._selection import SelectedTopic, Selection
from ._writer_api import Advance, ExportPlan

_SUFFIXES = {ImageFormat.PNG: "png", ImageFormat.JPEG: "jpg", ImageFormat.TIFF: "tiff"}
# The modes of Pillow whose values a PNG keeps exactly.
_PNG_MODES = frozenset({"L", "LA", "RGB", "RGBA", "I;16", "I;16L"})


class ImagesWriter:
    """Compressed pictures as they are stored, pixels as PNG without loss."""

    name = "images"
    description = "PNG, JPEG and TIFF files with a CSV file of times, one folder per camera"

    def plan(self, selection: Selection) -> ExportPlan:
        """One folder per topic of pictures."""
        return plan_cameras(selection, video=False, other="mp4", path=str, write=_write)


def _write(selection: Selection, topic: SelectedTopic, folder: Path, advance: Advance) -> int:
    folder.mkdir()
    count = 0
    with TimesFile(folder / "times.csv", "file") as times:
        for _, message in selection.messages([topic]):
            if format_of(message) in VIDEO_FORMATS:
                raise ExportError(
                    f"topic `{topic.name}` has pictures and, at {message.timestamp_ns} ns, a packet of a "
                    "video stream; export a window of time with one of them"
                )
            stem = f"{count:08d}-{message.timestamp_ns}"
            suffix, encoding, content = _file(message)
            (folder / f"{stem}.{suffix}").write_bytes(content)
            times.add(f"{stem}.{suffix}", message, encoding)
            count += 1
            advance(1, topic.message_bytes)
    return count


def _file(message: Message) -> tuple[str, str, bytes]:
    """Suffix, encoding and content of the file of a picture."""
    data = message.data
    if isinstance(data, CompressedImage):
        return _SUFFIXES[ImageFormat(data.format)], ImageFormat(data.format).value, data.data
    if not isinstance(data, Image):
        raise TypeError(f"{type(data).__name__} is no picture")
    if data.format == ImageFormat.PNG and data.encoding == "mono8" and data.stride == data.width:
        return "png", data.encoding, data.data  # for these pixels the container is the picture
    for suffix, content in (("png", _png), ("npy", _npy)):
        try:
            return suffix, data.encoding, content(data)
        except (ValueError, NotImplementedError):  # no PNG has these values; the encoding is unknown
            continue
    # Also a payload that is damaged: one picture does not stop an export.
    return "bin", data.encoding, bytes(data.to_linear_pixels())


def _png(image: Image) -> bytes:
    picture = image.to_pillow()
    if picture.mode not in _PNG_MODES:
        raise ValueError(f"PNG has no mode {picture.mode}")
    return CompressedImage.from_image(picture, ImageFormat.PNG).data


def _npy(image: Image) -> bytes:
    file = io.BytesIO()
    np.save(file, image.to_numpy(), allow_pickle=False)
    return file.getvalue()
