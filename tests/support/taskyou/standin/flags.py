"""Command lines as the real program reads them: flags anywhere, `--name=value`, `-n 5`, and everything after `--` as it stands."""

from __future__ import annotations

from .answer import twice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Flag:
    """One flag: `text`, `number` or `switch`, with its letter."""

    def __init__(self, kind: str, letter: str = "") -> None:
        self.kind, self.letter = kind, letter


class Command:
    """One command: how it is written, its flags, and how many words it takes."""

    def __init__(self, use: str, flags: Mapping[str, Flag], words: tuple[int, int], *, usage: bool = True, needs: str = "") -> None:
        self.use, self.flags, self.words, self.usage, self.needs = use, flags, words, usage, needs

    def without(self, *names: str) -> Command:
        """Return it as it was before it had some flags."""
        return Command(
            self.use, {name: flag for name, flag in self.flags.items() if name not in names}, self.words, usage=self.usage, needs=self.needs
        )

    def help(self) -> str:
        """Return what is printed with an error of usage."""
        lines = [f"      --{name} {'' if flag.kind == 'switch' else flag.kind}".rstrip() for name, flag in sorted(self.flags.items())]
        return "\n".join(["Usage:", f"  ty {self.use} [flags]", "", "Flags:", *lines, "", ""]) if self.usage else ""


class Given:
    """What a command line said: the flags that it named, and its words."""

    def __init__(self) -> None:
        self.flags: dict[str, str] = {}
        self.words: list[str] = []

    def text(self, name: str) -> str:
        """Return a flag's text, empty without it."""
        return self.flags.get(name, "")

    def number(self, name: str, default: int = 0) -> int:
        """Return a flag's number."""
        return int(self.flags.get(name, default))

    def on(self, name: str) -> bool:
        """Return whether a switch is on."""
        return self.flags.get(name, "false") == "true"


def parse(command: Command, argv: list[str]) -> Given:
    """Read a command line, or refuse it with the usage."""
    given = Given()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            given.words.extend(rest)
            break
        if word.startswith("--"):
            _long(command, word[2:], rest, given)
        elif word.startswith("-") and word != "-":
            _short(command, word, rest, given)
        else:
            given.words.append(word)
    least, most = command.words
    if not least <= len(given.words) <= most:
        raise _refused(command, _wrong_count(least, most, len(given.words)))
    if command.needs and command.needs not in given.flags:
        raise _refused(command, f'required flag(s) "{command.needs}" not set')
    return given


def _long(command: Command, word: str, rest: list[str], given: Given) -> None:
    name, equals, value = word.partition("=")
    flag = command.flags.get(name)
    if flag is None:
        raise _refused(command, f"unknown flag: --{name}")
    _keep(command, name, flag, value if equals else None, rest, given, f"--{name}")


def _short(command: Command, word: str, rest: list[str], given: Given) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = next((name for name, flag in command.flags.items() if flag.letter == letter), None)
        if name is None:
            raise _refused(command, f"unknown shorthand flag: {letter!r} in {word}")
        flag = command.flags[name]
        if flag.kind == "switch" and not letters.startswith("="):
            given.flags[name] = "true"
            continue
        _keep(command, name, flag, letters.removeprefix("=") or None, rest, given, f"{letter!r} in {word}")
        return


def _keep(command: Command, name: str, flag: Flag, value: str | None, rest: list[str], given: Given, said: str) -> None:
    if value is None and flag.kind == "switch":
        value = "true"
    if value is None:
        if not rest:
            raise _refused(command, f"flag needs an argument: {said}")
        value = rest.pop(0)
    shown = f"-{flag.letter}, --{name}" if flag.letter else f"--{name}"
    if flag.kind == "number" and not value.removeprefix("-").removeprefix("+").isdecimal():
        raise _refused(command, f'invalid argument "{value}" for "{shown}" flag: strconv.ParseInt: parsing "{value}": invalid syntax')
    if flag.kind == "switch":
        truth = {"true": "true", "1": "true", "t": "true", "false": "false", "0": "false", "f": "false"}.get(value.lower())
        if truth is None:
            raise _refused(command, f'invalid argument "{value}" for "{shown}" flag: strconv.ParseBool: parsing "{value}": invalid syntax')
        value = truth
    given.flags[name] = value


def _wrong_count(least: int, most: int, count: int) -> str:
    if least == most:
        return f"accepts {least} arg(s), received {count}"
    return f"accepts at most {most} arg(s), received {count}" if count > most else f"requires at least {least} arg(s), only received {count}"


def _refused(command: Command, text: str) -> Exception:
    from .answer import error

    return twice(text, command.help()) if command.usage else error(text)
