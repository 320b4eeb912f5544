"""Every Python block of the README runs, in order, in one fresh folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def test_readme_records_and_replays(tmp_path: Path) -> None:
    assert len(BLOCKS) >= 2, "a recording and a replay"
    assert any("sequence_create" in block for block in BLOCKS)
    assert any("get_data_streamer" in block for block in BLOCKS)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONWARNINGS": "error"}
    for block in BLOCKS:
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert done.stderr == ""
