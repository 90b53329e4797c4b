"""The program itself. It is started thousands of times: the standard library only, and every import when it is first needed."""
