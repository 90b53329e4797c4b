"""Value types, declared as dataclasses are and made in a tenth of the time.

`dataclasses` compiles six methods a class, which costs about 0.9 ms for each of some ninety classes at every start of the program
(ARCHITECTURE.md, "Decisions"). Here only `__init__` is compiled; the rest is shared.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")
_OWN = ("__dict__", "__weakref__")


class _Made:
    """The default of a field that is made anew for each value."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def made(*, default_factory: Callable[[], Any]) -> Any:
    """Declare a field with a default of its own for each value, such as an empty list."""
    return _Made(default_factory)


@dataclass_transform(frozen_default=True, field_specifiers=(made,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class of values that cannot be changed, with slots, equality, a hash and patterns by position."""
    return _build(cls, {"__setattr__": _refuse, "__delattr__": _refuse, "__hash__": _hash})


@dataclass_transform(field_specifiers=(made,))
def mutable(cls: type[T]) -> type[T]:
    """Make a class of values that can be changed, with slots and equality."""
    return _build(cls, {"__hash__": None})


def replace(value: T, **changes: Any) -> T:
    """Return a copy of a value with other fields. Raises TypeError for a name that is no field."""
    names = value.__slots__  # type: ignore[attr-defined]
    return type(value)(**{**{name: getattr(value, name) for name in names}, **changes})


def _build(cls: type[T], methods: dict[str, Any]) -> type[T]:
    names = tuple(cls.__annotations__)
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    body = {name: value for name, value in cls.__dict__.items() if name not in names and name not in _OWN}
    shared = {"__slots__": names, "__match_args__": names, "__eq__": _equal, "__repr__": _repr, **methods}
    new: Any = type(cls.__name__, cls.__bases__, {**shared, **body})
    new.__init__ = _compile_init(new, names, defaults)
    new._fields_of = attrgetter(*names) if len(names) > 1 else (lambda value: tuple(getattr(value, name) for name in names))
    return new  # type: ignore[no-any-return]


def _compile_init(cls: Any, names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    """Compile `__init__`; a slot is set through its descriptor, which `__setattr__` does not see."""
    scope: dict[str, Any] = {"MISSING": _Made(object)}
    parameters, lines = ["self"], []
    for name in names:
        scope[f"set_{name}"] = cls.__dict__[name].__set__
        default = defaults.get(name, scope["MISSING"])
        value = name
        if isinstance(default, _Made) and name in defaults:
            scope[f"make_{name}"] = default.factory
            parameters.append(f"{name}=MISSING")
            value = f"make_{name}() if {name} is MISSING else {name}"
        elif name in defaults:
            scope[f"default_{name}"] = default
            parameters.append(f"{name}=default_{name}")
        else:
            parameters.append(name)
        lines.append(f"    set_{name}(self, {value})")
    source = f"def __init__({', '.join(parameters)}):\n" + ("\n".join(lines) or "    pass")
    exec(source, scope)  # noqa: S102  # names of fields only, from our own classes
    return scope["__init__"]


def _equal(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return type(self)._fields_of(self) == type(other)._fields_of(other)


def _hash(self: Any) -> int:
    return hash((type(self).__name__, type(self)._fields_of(self)))


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def _refuse(self: Any, name: str, *_: Any) -> None:
    message = f"{type(self).__name__}.{name} cannot be changed"
    raise AttributeError(message)
