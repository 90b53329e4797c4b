"""Value types."""

import pytest

from reconciler.values import frozen, made, mutable, replace


@frozen
class Point:
    """A place."""

    x: int
    y: int = 0
    tags: list[str] = made(default_factory=list)

    @property
    def sum(self) -> int:
        return self.x + self.y


@frozen
class Other:
    """The same fields."""

    x: int
    y: int = 0
    tags: list[str] = made(default_factory=list)


@frozen
class Nothing:
    """No field at all."""


@frozen
class Single:
    """One field."""

    value: object


@mutable
class Counter:
    """A number that moves."""

    number: int = 0


def test_values_are_equal_by_type_and_fields() -> None:
    assert Point(1, 2) == Point(1, y=2)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1) != Other(1)  # type: ignore[comparison-overlap]
    assert Nothing() == Nothing()
    assert Single(1) == Single(1) != Single((1,))
    assert hash(Single(1)) == hash(Single(1))


def test_values_cannot_be_changed_and_are_true() -> None:
    with pytest.raises(AttributeError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Point(1).other = 2  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del Point(1).x
    assert bool(Nothing())


def test_a_made_default_is_each_values_own() -> None:
    one, two = Point(1), Point(1)

    one.tags.append("a")

    assert two.tags == []


def test_replace_gives_a_copy() -> None:
    assert replace(Point(1, 2), y=3) == Point(1, 3)
    with pytest.raises(TypeError):
        replace(Point(1, 2), z=3)


def test_a_missing_argument_is_a_type_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="'x'"):
        Point()  # type: ignore[call-arg]


def test_patterns_take_fields_by_position() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_repr_names_the_fields_and_properties_work() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2, tags=[])"
    assert Point(1, 2).sum == 3


def test_a_mutable_value_changes() -> None:
    counter = Counter()

    counter.number += 1

    assert counter == Counter(1)
    with pytest.raises(TypeError):
        hash(counter)
