"""Sums up the week before a day."""

from datetime import date, timedelta


def workflow(input, ctx):
    days = ctx.step("collect", lambda: week_before(date.fromisoformat(input["day"])))
    return ctx.step("write", lambda: {"title": f"Week {days[0]} to {days[-1]}", "days": len(days)})


def week_before(day):
    return [str(day - timedelta(days=number)) for number in range(7, 0, -1)]
