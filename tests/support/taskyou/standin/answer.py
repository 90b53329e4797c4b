"""What a call answers: text on two streams, and an exit code."""


class Answer:
    """Collects what is printed; nothing leaves the process before the call has taken effect."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.exit = 0

    def say(self, text: str) -> None:
        """Print a line."""
        self.out.append(text + "\n")


class FailedError(Exception):
    """Ends a call: its text goes to standard error, and it exits with 1."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text + "\n"


def error(text: str) -> FailedError:
    """Return the usual end of a call that did not work."""
    return FailedError(f"Error: {text}")


def twice(text: str, usage: str = "") -> FailedError:
    """Return an error that is printed again after the usage, as the real program does."""
    return FailedError(f"Error: {text}\n{usage}Error: {text}")


def styled(text: str) -> str:
    """Return `text` as the real program's styles leave it without colours: tabs as four spaces, lines of one width."""
    lines = text.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    width = max(len(line) for line in lines)
    return "\n".join(line.ljust(width) for line in lines) if len(lines) > 1 else lines[0]
