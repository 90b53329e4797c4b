"""What is remembered between passes: SQLite, one file in the data folder."""

from reconciler.state.store import NEWEST, Store, named_errors, open_store, read_store

__all__ = ["NEWEST", "Store", "named_errors", "open_store", "read_store"]
