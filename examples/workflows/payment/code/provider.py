"""A payment provider in a file. A charge has an idempotency key, a transfer has none, as with many banks."""

import sqlite3


class Provider:
    def __init__(self, path):
        self._path = path
        with self._open() as db:
            db.execute("CREATE TABLE IF NOT EXISTS charges (id INTEGER PRIMARY KEY, key TEXT UNIQUE, reference TEXT, cents INTEGER)")
            db.execute("CREATE TABLE IF NOT EXISTS transfers (id INTEGER PRIMARY KEY, whom TEXT, cents INTEGER)")

    def _open(self):
        return sqlite3.connect(self._path, timeout=10)

    def charge(self, key, reference, cents):
        with self._open() as db:
            db.execute("INSERT OR IGNORE INTO charges (key, reference, cents) VALUES (?, ?, ?)", (key, reference, cents))
            found = db.execute("SELECT id, cents FROM charges WHERE key = ?", (key,)).fetchone()
        return {"id": found[0], "cents": found[1]}

    def refund(self, number):
        with self._open() as db:
            db.execute("UPDATE charges SET cents = 0 WHERE id = ?", (number,))  # twice is as good as once

    def transfer(self, whom, cents):
        with self._open() as db:
            db.execute("INSERT INTO transfers (whom, cents) VALUES (?, ?)", (whom, cents))

    def charged(self, reference):
        with self._open() as db:
            return db.execute("SELECT count(*), sum(cents) FROM charges WHERE reference = ?", (reference,)).fetchone()
