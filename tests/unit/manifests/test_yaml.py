"""How YAML is read: what each text means, and what is refused. One line is one case."""

import time
import tracemalloc
from typing import Any

import pytest

from reconciler.yaml12 import YamlError, read_documents, write_document

SCALARS: dict[str, Any] = {
    "true": True, "false": False, "null": None, "": None,
    "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y", "n": "n",
    "True": "True", "TRUE": "TRUE", "False": "False", "Null": "Null", "NULL": "NULL", "~": "~",
    "0": 0, "7": 7, "-7": -7, "-0": 0, "10": 10, "1.5": 1.5, "-1.5": -1.5, "1.10": 1.1, "1e3": 1000.0, "1E3": 1000.0, "1e-2": 0.01, "2.5e+1": 25.0,
    "-0.0": 0.0, "0.0": 0.0, "9007199254740991": 2**53 - 1, "-9007199254740991": -(2**53) + 1,
    "010": "010", "00": "00", "08": "08", "0x1F": "0x1F", "0o17": "0o17", "0b1": "0b1", "+1": "+1", ".5": ".5", "1.": "1.", "1_000": "1_000",
    "1,000": "1,000", "1e": "1e", "e1": "e1", "--1": "--1", "1.2.3": "1.2.3", ".inf": ".inf", "-.inf": "-.inf", ".nan": ".nan", "NaN": "NaN",
    "Infinity": "Infinity", "12:30": "12:30", "12:30:45": "12:30:45", "190:20:30": "190:20:30", "2026-11-22": "2026-11-22",
    "2026-11-22T10:00:00Z": "2026-11-22T10:00:00Z", "2026-11-22 10:00:00": "2026-11-22 10:00:00", "1h30m": "1h30m", "30s": "30s", "16MiB": "16MiB",
    "'true'": "true", '"null"': "null", "'5'": "5", '"1e3"': "1e3", "''": "", '""': "", "a b": "a b", "a: b"[:1]: "a", "a#b": "a#b",
    "=": "=", "<": "<", "a,b": "a,b", "@a"[1:]: "a", "|\n  one\n  two": "one\ntwo\n", ">\n  one\n  two": "one two\n", "|-\n  yes": "yes",
    '"\\u00e9"': "é", '"\\x41"': "A", '"\\n"': "\n", "'it''s'": "it's", "héllo": "héllo", "日本": "日本", "😀": "😀", '"\\0"': "\0",
    "[]": [], "{}": {}, "[1, yes, 010]": [1, "yes", "010"], "{a: no, b: 1}": {"a": "no", "b": 1}, "[null, ~]": [None, "~"],
    "[a, [b, {c: [d]}]]": ["a", ["b", {"c": ["d"]}]], '{"a":1}': {"a": 1}, "[1,2,]": [1, 2],
}  # fmt: skip

REFUSED: dict[str, str] = {
    "x: 9007199254740992": "does not fit",
    "x: -9007199254740992": "does not fit",
    "x: 123456789012345678901234567890": "does not fit",
    "x: 1e400": "does not fit",
    "x: -1e400": "does not fit",
    f"x: {'9' * 100_000}": "does not fit",
    "a: 1\na: 2": "the key 'a' is there twice",
    "{a: 1, a: 1}": "the key 'a' is there twice",
    "a: {b: 1, c: 2, b: 3}": "the key 'b' is there twice",
    "a: 1\n'a': 2": "the key 'a' is there twice",
    "- {x: 1, x: 2}": "the key 'x' is there twice",
    "1: x": "the key '1' is not a string",
    "1.5: x": "the key '1.5' is not a string",
    "true: x": "the key 'true' is not a string",
    "null: x": "the key 'null' is not a string",
    "? [a]\n: x": "a key must be plain text",
    "? {a: b}\n: x": "a key must be plain text",
    "? \n: x": "the key '' is not a string",
    "{[a]: b}": "a key must be plain text",
    "a: &x b\n*x : c": "a key must be plain text",
    "<<: {a: 1}": "merge keys are not read",
    "a: &x {b: 1}\nc:\n  <<: *x": "merge keys are not read",
    "&x a: b": "a key cannot have an anchor",
    "a: !!str 5": "the tag 'tag:yaml.org,2002:str' is not read",
    "a: !!int '5'": "is not read",
    "a: !!float 5": "is not read",
    "a: !!null x": "is not read",
    "a: !!bool yes": "is not read",
    "a: !!binary aGk=": "is not read",
    "a: !!set {b, c}": "is not read",
    "a: !!omap [b: c]": "is not read",
    "a: !!timestamp 2026-01-01": "is not read",
    "a: !!python/object/apply:os.system [ls]": "is not read",
    "a: !!python/name:os.system": "is not read",
    "a: !!python/tuple [1]": "is not read",
    "a: !custom b": "the tag '!custom' is not read",
    "a: ! b": "the tag '!' is not read",
    "!!map {a: b}": "is not read",
    "!!str a: b": "is not read",
    "a: !reference [b, c]": "is not read",
    "a: *nowhere": "the alias *nowhere stands for nothing",
    "a: &a [*a]": "the alias *a stands for nothing that is complete here",
    "&a {b: *a}": "the alias *a stands for nothing that is complete here",
    "--- {a: &x 1}\n--- {a: *x}": "the alias *x stands for nothing",
}

BROKEN: dict[str | bytes, str] = {
    "a: b: c": "mapping values are not allowed",
    "a: [1, 2": "not YAML",
    "a: {b: 1": "not YAML",
    "a: 'b": "not YAML",
    'a: "b': "not YAML",
    "a:\n\tb: 1": "cannot start any token",
    "\ta: 1": "cannot start any token",
    "a: 1\n b: 2": "not YAML",
    "- a\nb: c": "not YAML",
    "a: |\n x\ny": "not YAML",
    "a: @b": "cannot start any token",
    "a: `b`": "cannot start any token",
    "a: %b": "cannot start any token",
    "a: &": "not YAML",
    "a: *": "not YAML",
    "a: !<": "not YAML",
    "a: ]": "not YAML",
    "a: }": "not YAML",
    "a: ,": "not YAML",
    "{a: b}}": "not YAML",
    "[a]]": "not YAML",
    "--- a\nb: c\n--- [": "not YAML",
    'a: "\\q"': "not YAML",
    'a: "\\ud800"': "not YAML",
    'a: "\\uZZZZ"': "not YAML",
    "%YAML 9.9\n--- a": "not YAML",
    "%YAML 1.1\n%YAML 1.1\n--- a": "not YAML",
    "%TAG ! x\n%TAG ! y\n--- a": "not YAML",
    "a: >x\n b": "not YAML",
    "a: |0\n b": "not YAML",
    "? a\n  b: c: d": "not YAML",
    b"a: \x00": "control character",
    b"a: \x01b": "control character",
    b"a: \x1b[31m": "control character",
    b"a: b\x07": "control character",
    b"\x00\x00": "control character",
    b"a: \x7f": "control character",
    b"a: \xff": "byte 0xff is not UTF-8",
    b"a: \xc3": "byte 0xc3 is not UTF-8",
    b"a: \xed\xa0\x80": "is not UTF-8",
    b"a: \xf8\x88\x80\x80\x80": "is not UTF-8",
    b"\x80": "is not UTF-8",
    "a: é".encode("latin-1"): "is not UTF-8",
    "a: b".encode("utf-16"): "is UTF-16",
    b"\xfe\xff\x00a": "is UTF-16",
    b"\x00\x00\xfe\xff\x00\x00\x00a": "is UTF-32",
    "%a\n" * 200 + "--- b": "lines begin with '%'",
    "[" * 60_000: "nested more than 100",
    "[" * 1_000_000: "nested more than 100",
    "{a: " * 30_000: "nested more than 100",
    "- " * 30_000: "nested more than 100",
    "? " * 30_000: "nested more than 100",
    "[{a: " * 30_000: "nested more than 100",
    "".join(f"{' ' * level}a:\n" for level in range(300)): "nested more than 100",
    "a: &a0 [x]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)): "nested more than 100",
    "a: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"b{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)): "more than 50,000 values",
    "x: [" + "1," * 200_000 + "]": "more than 50,000 values",
    "".join(f"k{n}: v\n" for n in range(60_000)): "more than 50,000 values",
    "- - - -\n" * 40_000: "more than 50,000 values",
    "---\n" * 60_000: "more than 50,000 values",
}

FINE: dict[str | bytes, list[Any]] = {
    "": [],
    "\n\n": [],
    "# only a comment\n": [],
    "---": [None],
    "---\n---\n": [None, None],
    "--- a\n...\n--- b\n": ["a", "b"],
    "a: 1\n---\nb: 2\n": [{"a": 1}, {"b": 2}],
    b"\xef\xbb\xbfa: 1": [{"a": 1}],
    "a: 1\r\nb: 2\r\n": [{"a": 1, "b": 2}],
    "a: &x [1, 2]\nb: *x": [{"a": [1, 2], "b": [1, 2]}],
    "a: &x y\nb: *x": [{"a": "y", "b": "y"}],
    "on: x": [{"on": "x"}],
    "no: x": [{"no": "x"}],
    "2026-01-01: x": [{"2026-01-01": "x"}],
    "12:30: x": [{"12:30": "x"}],
    "'1': x": [{"1": "x"}],
    "'<<': x": [{"<<": "x"}],
    "__proto__: x": [{"__proto__": "x"}],
    "a:\n- b\n- c": [{"a": ["b", "c"]}],
    "a:\n  b:\n    c: 1": [{"a": {"b": {"c": 1}}}],
    "? a\n: b": [{"a": "b"}],
    "a: 1\n  - b": [{"a": "1 - b"}],
    "%YAML 1.2\n--- a": ["a"],
    "[" * 100 + "]" * 100: [__import__("json").loads("[" * 100 + "]" * 100)],
    "just text": ["just text"],
    "- a\n- b": [["a", "b"]],
    "a: |\n  ---\n  b": [{"a": "---\nb"}],
    "a: " + "x" * 900_000: [{"a": "x" * 900_000}],
    "A" * 255 + ": 1": [{"A" * 255: 1}],
}


def test_the_tables_hold_at_least_150_cases() -> None:
    assert len(SCALARS) + len(REFUSED) + len(BROKEN) + len(FINE) >= 150


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_means_this(text: str) -> None:
    value = read_documents(f"x: {text}\n".encode())[0].value["x"]

    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_what_could_be_misread_is_refused_and_the_rest_is_still_read(text: str) -> None:
    documents = read_documents(text.encode())

    remarks = [remark for document in documents for remark in document.remarks]
    assert len(remarks) == 1
    assert REFUSED[text] in remarks[0].message
    assert remarks[0].line >= 1
    assert remarks[0].column >= 1


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text[:30]))
def test_what_is_no_yaml_is_refused_with_its_place_and_quickly(text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    begin = time.process_time()

    with pytest.raises(YamlError) as caught:
        read_documents(data)

    assert BROKEN[text] in caught.value.message
    assert caught.value.line >= 1
    assert caught.value.column >= 1
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("text", FINE, ids=lambda text: repr(text[:30]))
def test_what_is_fine_is_read(text: str | bytes) -> None:
    documents = read_documents(text if isinstance(text, bytes) else text.encode())

    assert [document.value for document in documents] == FINE[text]
    assert not [remark for document in documents for remark in document.remarks]


@pytest.mark.parametrize(("text", "hint"), [("a:\n\tb: 1", "spaces"), ("a: @b", "quotes"), ("a: b: c", "quotes"), ("a: %b", "quotes")])
def test_common_slips_come_with_advice(text: str, hint: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_documents(text.encode())

    assert hint in caught.value.hint


def test_a_document_knows_where_it_begins_and_where_its_parts_are() -> None:
    text = "# first\n\na: 1\n---\n\nb:\n  c: [x, {d~/: 2}]\n"

    documents = read_documents(text.encode(), positions=True)

    assert [document.line for document in documents] == [3, 6]
    positions = documents[1].positions
    assert positions is not None
    assert positions.at("/b/c/1/d~0~1", key=False) == (7, 16)
    assert positions.at("/b/c/1/d~0~1", key=True) == (7, 11)
    assert positions.at("/b/c/9", key=False) == (7, 6)
    assert positions.at("/nowhere", key=False) == (6, 1)


def test_the_worst_file_of_a_mebibyte_costs_neither_seconds_nor_memory() -> None:
    tracemalloc.start()
    begin = time.process_time()

    with pytest.raises(YamlError):
        read_documents(b"- {a: [b, c]}\n" * 75_000)

    assert time.process_time() - begin < 5
    assert tracemalloc.get_traced_memory()[1] < 80 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [*SCALARS, "1e3", "- a", "a: b", " x", "x ", "#", "\x85", "\u2028", "a\x85b", "\ta", "line\nline", "\t", "0", "é", "%", "!!str", "&a", "*a"],
)
def test_what_we_write_is_read_back_as_it_was(text: str) -> None:
    value = {"a": text, text or "k": [text, 1, 1.5, True, None, {"b": text}]}

    assert [document.value for document in read_documents(write_document(value).encode())] == [value]
