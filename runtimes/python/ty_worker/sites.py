"""Packages that are installed in the interpreter: found when first asked for, at no cost for those who need none."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _Sites:
    """The last finder: at the first module that nobody knows it does what `-S` left out, and looks again."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where the module is, or None."""
        if path is not None:
            return None
        sys.meta_path.remove(self)
        known = list(sys.meta_path)
        import site

        site.main()
        for finder in [*[each for each in sys.meta_path if each not in known], *known]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


def find_installed_packages_late() -> None:
    """Let packages of the interpreter be found when the first of them is imported."""
    sys.meta_path.append(_Sites())
