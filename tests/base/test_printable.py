from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ablata.base.printable import printable, terminal_text, uncolored


def test_control_characters_become_their_escapes_and_lines_stay() -> None:
    assert printable("a\x1b[31mRED\x07\x9b\r\u202e\x7f") == "a\\x1b[31mRED\\x07\\x9b\\r\\u202e\\x7f"
    assert printable("Käse\t→ 5 %\n") == "Käse\t→ 5 %\n"


@given(st.text())
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    left = {sign for sign in printable(text) if unicodedata.category(sign) == "Cc"}
    assert left <= {"\n", "\t"}


def test_colors_and_titles_of_a_terminal_are_left_out() -> None:
    for said, plain in (
        ("\x1b[1;31mred\x1b[0m \x1b[38:5:2mx\x1b[K", "red x"),
        ("\x1b]0;title\x07a \x1b]8;;http://b\x1b\\link", "a link"),
        ("[31m is text", "[31m is text"),
    ):
        assert uncolored(said) == plain


def test_a_progress_bar_is_its_last_state_and_lines_of_other_systems_are_lines() -> None:
    for said, left in (
        ("10%\r50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("loss 1\r\x1b[32mloss 2\x1b[0m\r", "loss 2"),
        ("a\tb", "a\tb"),
    ):
        assert terminal_text(said) == left
