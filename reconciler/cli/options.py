"""One declaration of a command's words, read twice: quickly for a call that is plainly right, by typer for all others.

Importing typer costs several times what a pass over an unchanged folder does. A call that this reader does not understand
completely (help, mistakes, abbreviations) goes to typer, which knows how to answer.
"""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Annotated, Any, cast, get_args, get_origin

from reconciler.values import frozen

Command = Callable[..., int]


@frozen
class Option:
    """A word with dashes."""

    names: tuple[str, ...]
    help: str


@frozen
class Argument:
    """A word without dashes."""

    metavar: str
    help: str


def option(*names: str, help: str) -> Option:
    """Declare an option by its spellings."""
    return Option(names, help)


@frozen
class Parameter:
    """One parameter of a command."""

    name: str
    kind: Any
    mark: Option | Argument
    default: Any
    required: bool

    @property
    def many(self) -> bool:
        """Say whether it may be given more than once."""
        return get_origin(self.kind) is list


def parameters(command: Command) -> list[Parameter]:
    """Return the parameters of a command, from its annotations."""
    function = cast(FunctionType, command)
    defaults = function.__defaults__ or ()
    annotated = [(name, hint) for name, hint in function.__annotations__.items() if name != "return"]
    needed = len(annotated) - len(defaults)
    found = []
    for number, (name, hint) in enumerate(annotated):
        kind, mark = hint.__origin__, hint.__metadata__[0]
        required = number < needed
        found.append(Parameter(name, kind, mark, None if required else defaults[number - needed], required))
    return found


def read_quickly(command: Command, words: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of a call; None where anything is not plainly right."""
    known = parameters(command)
    options = {spelling: parameter for parameter in known if isinstance(parameter.mark, Option) for spelling in parameter.mark.names}
    places = [parameter for parameter in known if isinstance(parameter.mark, Argument)]
    values: dict[str, Any] = {parameter.name: list(parameter.default or []) if parameter.many else parameter.default for parameter in known}
    given: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, _, value = word.partition("=")
        parameter = options.get(name)
        if parameter is None:
            if word.startswith("-") and word != "-":
                return None
            given.append(word)
        elif parameter.kind is bool:
            if value:
                return None
            values[parameter.name] = True
        else:
            if not value and not rest:
                return None
            if not _put(values, parameter, value or rest.pop(0)):
                return None
    return values if _place(values, places, given) else None


def _put(values: dict[str, Any], parameter: Parameter, text: str) -> bool:
    if parameter.many:
        values[parameter.name].append(text)
    elif int in (parameter.kind, *get_args(parameter.kind)):
        if not text.isdigit():
            return False
        values[parameter.name] = int(text)
    else:
        values[parameter.name] = text
    return True


def _place(values: dict[str, Any], places: Sequence[Parameter], given: Sequence[str]) -> bool:
    rest = list(given)
    for parameter in places:
        if parameter.many:
            values[parameter.name], rest = rest, []
        elif rest:
            values[parameter.name] = rest.pop(0)
        elif parameter.required:
            return False
    return not rest


def for_typer(command: Command, done: Callable[[int], None]) -> Callable[..., None]:
    """Return a function that typer understands, which calls `command` and hands its exit code to `done`."""
    import inspect

    import typer

    def call(**values: Any) -> None:
        done(command(**values))

    signature, annotations = [], {}
    for parameter in parameters(command):
        mark = parameter.mark
        if isinstance(mark, Option):
            info: Any = typer.Option(*mark.names, help=mark.help, show_default=parameter.default not in (None, False, "", []))
        else:
            info = typer.Argument(metavar=mark.metavar, help=mark.help, show_default=False)
        annotation: Any = Annotated.__class_getitem__((parameter.kind, info))  # type: ignore[attr-defined]
        default = inspect.Parameter.empty if parameter.required else parameter.default
        signature.append(inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
        annotations[parameter.name] = annotation
    call.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    call.__annotations__ = annotations
    call.__doc__ = command.__doc__
    call.__name__ = command.__name__
    return call
