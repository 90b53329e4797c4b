"""The Python worker: hosts runs of one revision and writes their journals, as `runtimes/PROTOCOL.md` says."""
