"""Runs as text."""

from reconciler.render import Paint, run_lines
from tests.support.builders import NOON


def a_view(steps: int) -> dict[str, object]:
    """Return what `status` shows of a run with so many steps."""
    step = {"kind": "step", "status": "completed", "attempts": 1, "started_at": None, "completed_at": None, "error": None, "heartbeat": None}
    rows = [{**step, "key": f"s{number}", "output_text": "1"} for number in range(steps)]
    meta = {
        "revision": "r",
        "adapter": "exec",
        "project": "p",
        "environment": "e",
        "source": "a.yaml:1",
        "uid": "u",
        "input_text": "",
        "output_text": "",
    }
    return {"id": "run", "status": "completed", "reason": "", "workflow_id": "w", "incarnation": 1, "attempt": 1, "claims": 1, "started_at": None,
            "completed_at": None, "error": None, "steps": rows, "metadata": meta}  # fmt: skip


def test_a_long_list_of_steps_is_folded_in_the_middle() -> None:
    lines = run_lines(a_view(25_000), Paint(), NOON)
    keys = [line.split()[0] for line in lines if line.startswith("  s")]

    assert keys == [*(f"s{number}" for number in range(20)), *(f"s{number}" for number in range(24_960, 25_000))]
    assert "  … 24940 more, which --json shows" in lines


def test_a_short_list_of_steps_is_shown_whole() -> None:
    assert len([line for line in run_lines(a_view(60), Paint(), NOON) if line.startswith("  s")]) == 60
