"""Numbers and names for a terminal."""

import pytest

from rheostat_agent.show.text import Style, calls, count, duration, fit, fit_end, plain, size


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (None, "–"),
        (0, "0 ns"),
        (999, "999 ns"),
        (999.4, "999 ns"),
        (999.6, "1.00 µs"),
        (1000, "1.00 µs"),
        (9_994, "9.99 µs"),
        (9_996, "10.0 µs"),
        (99_960, "100 µs"),
        (999_400, "999 µs"),
        (999_600, "1.00 ms"),
        (1_240_000_000, "1.24 s"),
        (99_940_000_000, "99.9 s"),
        (99_960_000_000, "100 s"),
        (3_600_000_000_000, "3,600 s"),
    ],
)
def test_a_duration_has_three_digits(nanoseconds: float | None, text: str) -> None:
    """And a unit in which they say something."""
    assert duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (15_600_000, "15.6 MB"),
        (94_200_000, "94.2 MB"),
        (999_400_000, "999 MB"),
        (999_600_000, "1 GB"),
        (2_500_000_000_000, "2500 GB"),
    ],
)
def test_a_size_has_three_digits(number: int | None, text: str) -> None:
    """In powers of ten."""
    assert size(number) == text


def test_counts_agree_with_their_nouns() -> None:
    """One of a thing, or many."""
    assert [count(1, "span"), count(2000, "span"), count(0, "process")] == [
        "1 span",
        "2,000 spans",
        "0 processes",
    ]


def test_many_calls_fit_their_column() -> None:
    """In full as long as that fits."""
    told = [calls(number) for number in (1, 9_999_999, 10_000_000, 123_456_789, 9_876_543_210)]

    assert told == ["1", "9,999,999", "10.0 M", "123.5 M", "9,876.5 M"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("load", "load"),
        ("naïve 数据 🐍", "naïve 数据 🐍"),
        ("\x1b[31mred\a\r\n", "\\x1b[31mred\\x07\\r\\n"),
        ("a\u202eb", "a\\u202eb"),
        ("a\udc80b", "a\\udc80b"),
    ],
)
def test_a_name_cannot_steer_the_terminal(text: str, shown: str) -> None:
    """Control characters, reversals and what cannot be encoded are shown as escapes."""
    assert plain(text) == shown


def test_long_texts_are_cut() -> None:
    """A text at its end, a dotted name at its beginning."""
    assert [fit("abcdef", 6), fit("abcdefg", 6)] == ["abcdef", "abcde…"]
    assert [fit_end("ab.cde", 6), fit_end("ab.cdef", 6)] == ["ab.cde", "….cdef"]


def test_colours_are_used_or_not() -> None:
    """Nothing is wrapped around nothing."""
    assert Style(False)("a", "red") == "a"
    assert Style(True)("a", "bold", "red") == "\033[1;31ma\033[0m"
    assert [Style(True)("", "red"), Style(True)("a")] == ["", "a"]
