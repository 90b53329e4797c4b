"""What is remembered between passes: SQLite, one file in the data folder."""

from reconciler.state.store import NAME, NEWEST, Store, move_aside, named_errors, open_store, read_store, snapshot, store_in_memory

__all__ = ["NAME", "NEWEST", "Store", "move_aside", "named_errors", "open_store", "read_store", "snapshot", "store_in_memory"]
