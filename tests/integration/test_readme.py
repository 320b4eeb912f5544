"""Every Python block of the README and of the documents runs, in order, in one new folder."""

import re
from pathlib import Path

import pytest
from harness.documents import DOCUMENTS, ROOT, blocks, run


def test_readme_records_and_replays(tmp_path: Path) -> None:
    found = blocks("README.md")
    assert any("sequence_create" in block for block in found)
    assert any("get_data_streamer" in block for block in found)
    [printed] = [run(block, tmp_path) for block in found]
    assert re.match(r"\['bench-\d+'\]\n\d{19} /sensors/imu 0\.0\n", printed)


PRINTED = {
    "docs/images.md": "40 (160, 120) decoded",
    "docs/ros.md": "{'/wheel': 100} [60.0, 61.0]",
    "docs/queries-python.md": "run-0 /sensors/imu 1500000000 25.0",
    "docs/operations.md": "b'flight-1' b'sensors/imu' 1000 rows",
    "docs/replay.md": "50 messages followed",
    "docs/live-recording.md": "True True\n4 drivers",
    "docs/troubleshooting.md": "unavailable True",
    "docs/ontologies.md": "drive\n1 rows\n3.5",
}


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name)])
def test_blocks_of_a_document_run_one_after_the_other(document: str, tmp_path: Path) -> None:
    assert PRINTED.get(document, "") in run("\n".join(blocks(document)), tmp_path)


def test_every_document_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert len(DOCUMENTS) > 15
    missing = [name for name in DOCUMENTS if f": {name.removeprefix('docs/')}\n" not in navigation]
    assert not missing, "not in the nav of mkdocs.yml"
