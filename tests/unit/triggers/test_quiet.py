"""When a burst of changes is over."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.triggers.quiet import AT_MOST, MANY_PATHS, ONE_PATH, STILL_OPEN, Quiet


def test_nothing_heard_is_never_due() -> None:
    assert Quiet().due is None
    assert Quiet().take(1e9) == frozenset()


def test_one_path_is_ready_10_ms_after_it_was_closed() -> None:
    quiet = Quiet()
    quiet.heard("a", 1.0)

    assert quiet.take(1.0 + ONE_PATH - 0.001) == frozenset()
    assert quiet.take(1.0 + ONE_PATH) == {"a"}
    assert quiet.due is None


def test_several_paths_are_ready_50_ms_after_the_last_of_them() -> None:
    quiet = Quiet()
    for number in range(500):
        quiet.heard(str(number), 1.0 + number / 1000)

    assert quiet.due == 1.499 + MANY_PATHS


def test_a_file_that_is_not_closed_is_waited_for() -> None:
    quiet = Quiet()
    quiet.heard("a", 1.0, closed=False)
    waits_until = quiet.due
    quiet.heard("a", 1.1)

    assert waits_until == 1.0 + STILL_OPEN
    assert quiet.due == 1.1 + ONE_PATH


def test_a_file_that_was_written_beside_and_renamed_is_one_path() -> None:
    quiet = Quiet()
    quiet.heard(".a.new", 1.0, closed=False)
    quiet.heard(".a.new", 1.001)
    quiet.heard("a", 1.002, before=".a.new")

    assert quiet.due == 1.002 + ONE_PATH
    assert quiet.take(2.0) == {"a"}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 0.5), st.booleans()), min_size=1, max_size=50))
def test_it_never_waits_longer_than_a_second_and_loses_no_path(events: list[tuple[str, float, bool]]) -> None:
    quiet = Quiet()
    now, first, taken, heard = 0.0, None, set[str](), set[str]()
    for path, pause, closed in events:
        now += pause
        taken |= quiet.take(now)
        if not quiet.paths:
            first = now
        quiet.heard(path, now, closed=closed)
        heard.add(path)
        assert first is not None
        assert quiet.due is not None
        assert quiet.due <= first + AT_MOST

    assert taken | quiet.take(now + AT_MOST) == heard
