"""The program itself.

It is started thousands of times: the standard library only, and every import when it is first needed. `typing` alone would take a third of a
call's time, which is why its names are imported for the type checker only.
"""
