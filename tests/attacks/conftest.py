from __future__ import annotations

import sys
from pathlib import Path

# The attacks are scripts that import each other, not a package.
sys.path.insert(0, str(Path(__file__).parent))
