"""Golden rules for the tests of this room."""

import sys
from pathlib import Path

# fill_rule is a script beside its data.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
