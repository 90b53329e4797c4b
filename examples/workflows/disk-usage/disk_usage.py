# /// script
# requires-python = ">=3.10"
# dependencies = ["humanize==4.12.3"]
# ///
"""How full a disk is, in words. The block above (PEP 723) names what is installed for this workflow, and only for it."""

import shutil

import humanize


def workflow(input, ctx):
    # Measuring belongs in a step: a replay must see what was seen then, not what is so now.
    disk = ctx.step("measure", lambda: shutil.disk_usage(input["path"])._asdict())
    # What is only computed from recorded results needs none.
    used, total = (humanize.naturalsize(disk[key], binary=True) for key in ("used", "total"))
    return {"path": input["path"], "summary": f"{used} of {total} are used", "free_bytes": disk["free"]}
