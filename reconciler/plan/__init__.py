"""Deciding: facts go in, a plan comes out, and nothing is touched."""

from reconciler.plan.decide import Observed, decide
from reconciler.plan.queue import Limits

__all__ = ["Limits", "Observed", "decide"]
