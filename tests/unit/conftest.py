"""Makes the helpers in the subfolders importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
