"""TaskYou as other programs see it: its command line, and what may be sent through it."""
