"""What git knows of a folder, and what it has committed: its files are read where that is enough, since a process costs more than a pass.

`heads` reads files only; `call` runs git so that nothing in a repository can run a program; `history`, `fetch` and `tree` ask it.
"""
