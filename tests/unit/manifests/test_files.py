"""Files that are no plain files, and files that somebody is writing."""

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from reconciler.manifests import LoadOptions, Manifests, load
from reconciler.manifests import files as files_module
from reconciler.manifests.files import Patience, RefusedError, UnstableError, open_inside, read_settled
from tests.unit.manifests.folders import RUN, WORKFLOW, LaterClock, a_run, loaded, together, write


def test_every_prefix_of_a_run_that_its_writer_holds_open_starts_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": WORKFLOW})
    data = together(RUN, a_run("second")).encode()
    manifests = Manifests(tmp_path, LoadOptions())

    with open(tmp_path / "r.yaml", "wb", buffering=0) as writer:
        for byte in data:
            desired = manifests.load()
            assert not desired.runs
            assert not desired.complete
            assert desired.unstable == ("r.yaml",)
            writer.write(bytes([byte]))

    assert set(manifests.load().runs) == {"greet-world", "second"}


def test_a_file_that_is_written_anew_keeps_the_form_that_was_whole(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, a_run("greet-world", "{workflow: greet, input: 1}"))})
    manifests = Manifests(tmp_path, LoadOptions())
    before = manifests.load()

    with open(tmp_path / "a.yaml", "wb", buffering=0) as writer:
        writer.write(a_run("greet-world", "{workflow: greet, input: 2}").encode())
        during = manifests.load()

    assert during.runs == before.runs
    assert during.workflows == before.workflows
    assert (during.complete, during.unstable) == (False, ("a.yaml",))
    assert "workflow/greet" not in manifests.load().invalid
    assert manifests.load().runs == {}


def test_a_wait_for_a_writer_ends_with_what_he_wrote(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": WORKFLOW})
    opened = threading.Event()

    def slowly() -> None:
        with open(tmp_path / "r.yaml", "wb", buffering=0) as writer:
            writer.write(RUN[:60].encode())
            opened.set()
            time.sleep(0.3)
            writer.write(RUN[60:].encode())

    thread = threading.Thread(target=slowly)
    thread.start()
    opened.wait()
    desired = load(tmp_path, LoadOptions(wait_unstable=True))
    thread.join()

    assert set(desired.runs) == {"greet-world"}
    assert not desired.unstable


def test_a_wait_for_a_writer_who_never_ends_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_PATIENCE", 0.2)
    write(tmp_path, {"w.yaml": WORKFLOW})

    with open(tmp_path / "r.yaml", "wb", buffering=0) as writer:
        writer.write(RUN.encode())
        begin = time.monotonic()
        desired = load(tmp_path, LoadOptions(wait_unstable=True))

    assert time.monotonic() - begin < 2
    assert desired.unstable == ("r.yaml",)
    assert set(desired.workflows) == {"greet"}


def test_an_empty_file_counts_only_when_it_is_old(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN)})
    manifests = Manifests(tmp_path, LoadOptions())
    manifests.load()

    (tmp_path / "a.yaml").write_text("")
    young = manifests.load()
    old = loaded(tmp_path)

    assert set(young.runs) == {"greet-world"}
    assert (young.complete, young.unstable) == (False, ("a.yaml",))
    assert (old.runs, old.complete) == ({}, True)


def test_a_log_that_somebody_keeps_open_holds_up_nobody(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": WORKFLOW})

    with open(tmp_path / "log.yaml", "wb", buffering=0) as writer:
        writer.write(b"- something\n")
        desired = loaded(tmp_path)

    assert desired.complete
    assert not desired.unstable
    assert desired.foreign == 1


def test_a_manifest_that_is_held_open_does_not_count_however_old_it_is(tmp_path: Path) -> None:
    with open(tmp_path / "a.yaml", "wb", buffering=0) as writer:
        writer.write(WORKFLOW.encode())
        desired = loaded(tmp_path)

    assert desired.unstable == ("a.yaml",)
    assert not desired.workflows


def test_a_lease_lets_the_next_writer_in_and_kills_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(WORKFLOW)
    done = threading.Event()

    def writes() -> None:
        while not done.is_set():
            path.write_text(WORKFLOW)

    thread = threading.Thread(target=writes)
    thread.start()
    manifests = Manifests(tmp_path, LoadOptions())
    for _ in range(300):
        manifests.load()
    done.set()
    thread.join()

    assert set(manifests.load().workflows) == {"greet"}


def test_without_leases_a_file_counts_when_it_is_two_seconds_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_ask_lease", lambda handle: files_module._Lease.UNKNOWN)
    write(tmp_path, {"a.yaml": WORKFLOW})

    assert load(tmp_path, LoadOptions()).unstable == ("a.yaml",)
    assert set(loaded(tmp_path).workflows) == {"greet"}
    begin = time.monotonic()
    assert set(load(tmp_path, LoadOptions(wait_unstable=True)).workflows) == {"greet"}
    assert time.monotonic() - begin < 3


def test_stamps_from_the_future_do_not_hold_up_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_ask_lease", lambda handle: files_module._Lease.UNKNOWN)
    write(tmp_path, {"a.yaml": WORKFLOW})
    os.utime(tmp_path / "a.yaml", (4e9, 4e9))

    assert set(load(tmp_path, LoadOptions()).workflows) == {"greet"}


def _link_out(path: Path) -> None:
    outside = path.parent.parent / "outside.yaml"
    outside.write_text(RUN)
    path.symlink_to(outside)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)
        server.bind(path.name)


ODD: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "socket": _socket,
    "link to a file in the folder": lambda path: path.symlink_to("w.yaml"),
    "link out of the folder": _link_out,
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_plain_file_is_not_opened_and_blocks_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "manifests", {"w.yaml": WORKFLOW})
    ODD[kind](folder / "x.yaml")

    begin = time.monotonic()
    desired = loaded(folder)

    assert time.monotonic() - begin < 1
    assert (set(desired.workflows), set(desired.runs)) == ({"greet"}, set())
    assert [problem.warning for problem in desired.problems] == ([] if kind == "folder" else [True])
    assert desired.complete


def test_a_run_whose_file_became_a_link_is_neither_used_nor_gone(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": WORKFLOW, "r.yaml": RUN, "elsewhere/r.txt": RUN})
    manifests = Manifests(tmp_path, LoadOptions(), LaterClock())
    manifests.load()

    (tmp_path / "r.yaml").unlink()
    (tmp_path / "r.yaml").symlink_to("elsewhere/r.txt")
    desired = manifests.load()

    assert (dict(desired.runs), set(desired.invalid), desired.complete) == ({}, {"run/greet-world"}, False)
    assert not desired.problems[0].warning


def test_a_folder_that_became_a_link_is_not_taken_for_empty(tmp_path: Path) -> None:
    write(tmp_path / "m", {"w.yaml": WORKFLOW, "runs/r.yaml": RUN})
    manifests = Manifests(tmp_path / "m", LoadOptions(), LaterClock())
    manifests.load()

    (tmp_path / "m/runs").rename(tmp_path / "runs")
    (tmp_path / "m/runs").symlink_to("../runs")
    desired = manifests.load()

    assert (dict(desired.runs), set(desired.invalid), desired.complete) == ({}, {"run/greet-world"}, False)
    assert manifests.load().invalid == {"run/greet-world"}


def test_a_link_to_a_folder_is_no_trouble_where_nothing_was(tmp_path: Path) -> None:
    write(tmp_path / "m", {"w.yaml": WORKFLOW})
    (tmp_path / "m/docs").symlink_to("/usr/share")

    assert not loaded(tmp_path / "m").problems


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", {"w.yaml": WORKFLOW})
    (tmp_path / "link").symlink_to("real")

    assert set(loaded(tmp_path / "link").workflows) == {"greet"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told_and_not_taken_for_gone(tmp_path: Path) -> None:
    write(tmp_path, {"w.yaml": WORKFLOW, "r.yaml": RUN, "deep/s.yaml": a_run("second")})
    manifests = Manifests(tmp_path, LoadOptions(), LaterClock())
    manifests.load()

    (tmp_path / "r.yaml").chmod(0)
    (tmp_path / "deep").chmod(0)
    desired = manifests.load()
    (tmp_path / "deep").chmod(0o700)

    assert desired.invalid == {"run/greet-world", "run/second"}
    assert not desired.complete


def test_a_file_that_no_longer_parses_keeps_its_objects_from_being_pruned(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN, a_run("second"))})
    manifests = Manifests(tmp_path, LoadOptions(), LaterClock())
    manifests.load()

    for broken in ("a: [", "no marker of ours: [", b"\xff\xfe\x00", "x" * 10 + "\x00"):
        write(tmp_path, {"a.yaml": broken})
        desired = manifests.load()
        assert desired.invalid == {"workflow/greet", "run/greet-world", "run/second"}
        assert not desired.complete
    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN)})
    assert (manifests.load().invalid, manifests.load().complete) == (frozenset(), True)


def test_a_file_that_grew_too_large_keeps_its_objects_too(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN)})
    manifests = Manifests(tmp_path, LoadOptions(), LaterClock())
    manifests.load()

    write(tmp_path, {"a.yaml": together(WORKFLOW, RUN) + "#" * (1 << 20)})
    desired = manifests.load()

    assert desired.invalid == {"workflow/greet", "run/greet-world"}
    assert "larger than 1 MiB" in desired.problems[0].message


def test_a_large_file_with_our_mark_is_an_error_and_without_it_foreign(tmp_path: Path) -> None:
    write(tmp_path, {"ours.yaml": "#" * (3 << 20) + "\n" + RUN, "theirs.yaml": "#" * (3 << 20)})

    desired = loaded(tmp_path)

    assert [problem.file for problem in desired.problems] == ["ours.yaml"]
    assert desired.foreign == 1


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.yaml", b"a\nb.yaml", b"\x1b[31m.yaml", b"a" * 250 + b".yaml", b"-rf.yaml", b"$(x).yaml", b" .yaml", b".yaml"]
)
def test_any_name_of_a_file_will_do(tmp_path: Path, name: bytes) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_text(together(WORKFLOW, a_run("x", "{}")))

    from reconciler.manifests import report

    desired = loaded(tmp_path, cache_dir=tmp_path / "cache", write_cache=True)

    assert set(desired.workflows) == {"greet"}
    for how in ("text", "json", "github"):
        shown = "\n".join(report(desired.problems, how))
        shown.encode("utf-8")
        assert "\x1b" not in shown


def test_nothing_is_opened_through_a_link_or_outside(tmp_path: Path) -> None:
    write(tmp_path, {"root/a/b.txt": "inside", "secret.txt": "outside"})
    (tmp_path / "root/link").symlink_to("a")
    (tmp_path / "root/out").symlink_to("..")
    (tmp_path / "root/file").symlink_to("../secret.txt")
    root = os.open(tmp_path / "root", os.O_RDONLY)

    os.close(open_inside(root, ["a", "b.txt"]))
    for parts in (["link", "b.txt"], ["out", "secret.txt"], ["file"], ["a"], ["nowhere"], ["a", "b.txt", "c"]):
        with pytest.raises(RefusedError):
            open_inside(root, parts)
    os.close(root)


def test_a_file_that_changes_while_it_is_read_is_unstable(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(WORKFLOW)
    root = os.open(tmp_path, os.O_RDONLY)

    class Writing(LaterClock):
        def now(self) -> datetime:
            path.write_text(WORKFLOW + "# more\n")
            return super().now()

    # the lease keeps writers out, so that this needs a file system without leases
    original = files_module._ask_lease
    files_module._ask_lease = lambda handle: files_module._Lease.UNKNOWN
    try:
        with pytest.raises(UnstableError):
            read_settled(root, ["a.yaml"], 1 << 20, Patience(Writing(), waits=False))
    finally:
        files_module._ask_lease = original
        os.close(root)
