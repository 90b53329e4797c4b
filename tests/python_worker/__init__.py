"""Tests of the Python worker, which can import its modules."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "runtimes/python"))
