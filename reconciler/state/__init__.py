"""What is remembered between passes: SQLite, one file in the data folder."""

from reconciler.state.store import NEWEST, Store, open_store, read_store

__all__ = ["NEWEST", "Store", "open_store", "read_store"]
