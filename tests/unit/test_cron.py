"""Cron expressions that are refused, with what is told."""

import pytest

from reconciler.cron import CronError, read_cron


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "has 0 fields and not five", "the fields are minute, hour, day of month, month, day of week"),
        ("* * * *", "has 4 fields and not five", ""),
        ("0 30 2 * * *", "has 6 fields and not five", "for seconds there is `every`"),
        ("0 30 2 * * * 2026", "has 7 fields and not five", ""),
        ("CRON_TZ=UTC 30 2 * * *", "'CRON_TZ=UTC' does not belong into the expression", "spec.timeZone"),
        ("0 0 L * *", "'L' is not understood", "L, W, # and ? are of other schedulers"),
        ("0 0 15W * *", "'15W' is not understood", "L, W, # and ? are of other schedulers"),
        ("0 0 * * 5#2", "'5#2' is not understood", "L, W, # and ? are of other schedulers"),
        ("0 0 * * 5L", "'5L' is not understood", "L, W, # and ? are of other schedulers"),
        ("0 0 ? * 1", "'?' is not understood", "L, W, # and ? are of other schedulers"),
        ("@reboot", "'@reboot' is not a time", "what is to run once is a Run"),
        ("@every 5m", "'@every 5m' is not a time", "write every: 5m instead of cron"),
        ("@dayly", "'@dayly' is not a time", "did you mean"),
        ("60 * * * *", "'60' is no minute: 60 is not between 0 and 59", ""),
        ("* 24 * * *", "'24' is no hour: 24 is not between 0 and 23", ""),
        ("* * 0 * *", "0 is not between 1 and 31", ""),
        ("* * 32 * *", "32 is not between 1 and 31", ""),
        ("* * * 13 *", "13 is not between 1 and 12", ""),
        ("* * * sun *", "sun is not between 1 and 12", ""),
        ("* * * * 8", "8 is not between 0 and 7", ""),
        ("* * * * jan", "jan is not between 0 and 7", ""),
        ("5-1 * * * *", "5-1 goes backwards", ""),
        ("* * * * fri-mon", "fri-mon goes backwards", ""),
        ("*/0 * * * *", "a step of 0 goes nowhere", ""),
        ("5/15 * * * *", "'5/15': a step goes with '*' or a range", "write 5-59/15"),
        ("* * * * 1/2", "'1/2': a step goes with '*' or a range", "write 1-6/2"),
        ("1,,2 * * * *", "'' is not understood", ""),
        ("1.5 * * * *", "'1.5' is not understood", ""),
        ("-1 * * * *", "'-1' is not understood", ""),
        ("*-5 * * * *", "'*-5' is not understood", ""),
        ("0 0 30 2 *", "'0 0 30 2 *' never comes: none of its months has 30 days", ""),
        ("0 0 31 4,6,9,11 *", "never comes: none of its months has 31 days", ""),
        ("0 0 30-31 feb *", "never comes: none of its months has 30 days", ""),
        ("0 0 31 2 */2", "never comes", ""),
    ],
)
def test_what_is_no_standard_cron_is_refused_with_what_to_write(text: str, message: str, hint: str) -> None:
    with pytest.raises(CronError) as refused:
        read_cron(text)

    assert message in str(refused.value)
    assert hint in refused.value.hint


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 31 1,2 *", "0 0 30 2 1", "0 0 31 4 mon"])
def test_a_date_that_comes_some_day_is_taken(text: str) -> None:
    assert read_cron(text).months


def test_sunday_is_zero_and_seven_and_names_are_read_in_any_case() -> None:
    assert read_cron("0 0 * * 0").weekdays == read_cron("0 0 * * 7").weekdays == read_cron("0 0 * * SUN").weekdays == (0,)
    assert read_cron("0 0 * * 1-5").weekdays == read_cron("0 0 * * Mon-Fri").weekdays == (1, 2, 3, 4, 5)
    assert read_cron("0 0 1 JAN,Jul *").months == (1, 7)


def test_either_day_is_enough_only_where_both_are_restricted() -> None:
    assert [read_cron(text).either for text in ("0 0 13 * 5", "0 0 13 * *", "0 0 * * 5", "0 0 */2 * 5", "0 0 1 * */2")] == [True, *[False] * 4]
