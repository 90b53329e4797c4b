"""A stand-in for TaskYou's program `ty`, and what tests do with it: see `board.py`."""
