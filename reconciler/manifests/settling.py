"""How old what was read is: what vanished a moment ago may be back in a moment (I12)."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.manifests.files import SETTLED_NS
from reconciler.manifests.scan import Scan
from reconciler.values import frozen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Settling:
    """When everything that was read or listed is two seconds old, and when the files alone are."""

    at: datetime
    files_at: datetime


def settling_of(folder: Path, scanned: Scan, now_ns: int) -> Settling:
    """Return when a scan of `folder` is old enough that what it lacks is gone. A stamp from the future counts as the present moment of the folder."""
    youngest = max((max(key[2], key[3]) for key in scanned.files.values()), default=0)
    listed = max(scanned.listed_ns, _switched(folder))
    if youngest > now_ns + SETTLED_NS:  # another machine's clock: its stamps say nothing
        youngest, listed = 0, now_ns
    listed = min(listed, now_ns)
    return Settling(_instant(max(youngest, listed) + SETTLED_NS), _instant(youngest + SETTLED_NS))


def _switched(folder: Path) -> int:
    """Return when the youngest symbolic link on the way to the folder was made."""
    stamps = [0]
    for path in (folder, *folder.parents):
        if os.path.islink(path):
            found = os.lstat(path)
            stamps += [found.st_mtime_ns, found.st_ctime_ns]
    return max(stamps)


def _instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=-(-nanoseconds // 1000))
