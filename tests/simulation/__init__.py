"""The whole reconciler against simulated faults: everything that happens follows from a seed."""
