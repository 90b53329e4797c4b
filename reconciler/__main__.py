"""`python -m reconciler`: the command line, from a checkout or a wheel."""

from reconciler.cli import main

main()
