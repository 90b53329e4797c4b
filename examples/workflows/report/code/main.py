"""Monthly totals of a shop's sales, written down as a table."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path


def workflow(input, ctx):
    # What a step returns is recorded before anything after it happens. A run that dies between these two steps
    # goes on with the second one, from the recorded totals.
    months = ctx.step("total-by-month", lambda: total_by_month(input["file"]))
    report = ctx.step("write-report", lambda: write_report(months, input.get("currency", ""), Path(ctx.run.folder)))
    return {"report": report, "months": months}


def total_by_month(file):
    # The working directory is the folder of the code.
    totals = defaultdict(Decimal)
    with open(file, newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            totals[row["date"][:7]] += int(row["quantity"]) * Decimal(row["unit_price"])
    print(f"{file}: sales in {len(totals)} months")  # `logs run/report-2025` shows it
    # A step's result is JSON, so that it is the same in every replay: no Decimal, but text.
    return {month: f"{totals[month]:.2f}" for month in sorted(totals)}


def write_report(months, currency, folder):
    # `run.folder` belongs to this run and is kept with it. Writing the whole file makes the step safe to repeat.
    lines = [f"# Sales by month{f', in {currency}' if currency else ''}", "", "| month | sales |", "| --- | ---: |"]
    lines += [f"| {month} | {total} |" for month, total in months.items()]
    lines.append(f"| **all** | **{sum(map(Decimal, months.values()))}** |")
    file = folder / "report.md"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)
