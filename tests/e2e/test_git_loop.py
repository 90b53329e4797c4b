"""Beside a living loop: what holds it, and what a person lets through."""

import re
import time

from tests.support.loop import living
from tests.support.repository import commit, git, init
from tests.support.site import Site, eventually

NAP = "def workflow(input, ctx):\n    ctx.sleep('nap', '30d')\n"


def declare(site: Site, *runs: str, **spec: object) -> None:
    site.workflow("nap", "nap.py", NAP)
    for name in runs:
        site.start(name, "nap", **spec)


def test_a_loop_holds_another_branch_until_a_person_accepts_it(site: Site) -> None:
    declare(site, "stays")
    init(site.folder)
    git(site.folder, "branch", "lacking")
    declare(site, "one")
    commit(site.folder, "one")
    with living(site) as loop:
        eventually(lambda: site.statuses() == {"one": "sleeping", "stays": "sleeping"})
        git(site.folder, "checkout", "-q", "lacking")
        loop.says("branch-changed")
        assert "this is branch lacking" in site.pass_(expect=6).stdout
        assert site.statuses() == {"one": "sleeping", "stays": "sleeping"}

        site.pass_("--accept-branch", expect=None)

        eventually(lambda: site.statuses() == {"one": "canceled", "stays": "sleeping"})


def test_a_loop_prunes_what_was_approved_and_tells_the_digest(site: Site) -> None:
    declare(site, "one", prune="confirm")
    with living(site) as loop:
        eventually(lambda: site.statuses() == {"one": "sleeping"})
        (site.folder / "one.yaml").unlink()
        loop.says("prune-confirm")
        held = site.pass_(expect=6).stdout
        found = re.search(r"--approve ([0-9a-f]{16}) ", held)
        assert found
        assert "is another one now" in site.pass_("--approve", "0" * 16, expect=6).stderr
        assert site.statuses() == {"one": "sleeping"}

        site.pass_("--approve", found[1], expect=None)

        eventually(lambda: site.statuses() == {"one": "canceled"})


def test_a_loop_waits_two_seconds_for_what_vanished_and_looks_again_by_itself(site: Site) -> None:
    declare(site, "one", "stays")
    with living(site) as loop:
        eventually(lambda: site.statuses() == {"one": "sleeping", "stays": "sleeping"})
        (site.folder / "one.yaml").unlink()
        gone = time.monotonic()

        loop.says("run/one: cancel")

    assert time.monotonic() - gone >= 1.9


def test_a_loop_over_a_commit_takes_what_is_pushed(site: Site) -> None:
    declare(site, "one")
    init(site.folder)
    clone = site.home / "clone"
    git(site.home, "clone", "-q", str(site.folder), str(clone))
    with living(site, "--git", "main", "--pull", "0s", str(clone), settings="poll_interval: 1s\n"):
        eventually(lambda: site.statuses() == {"one": "sleeping"})
        declare(site, "two")
        commit(site.folder, "two")

        eventually(lambda: site.statuses() == {"one": "sleeping", "two": "sleeping"})

    assert not (clone / "two.yaml").exists()
