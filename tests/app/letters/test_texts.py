from app.letters.texts import DUMPED_BYTES, dump, key_text, plain, value_lines


def test_json_is_shown_with_its_parts_indented() -> None:
    assert list(value_lines(b'{"a":[1,2]}')) == ["{", '  "a": [', "    1,", "    2", "  ]", "}"]


def test_what_is_no_json_is_dumped() -> None:
    assert list(value_lines(b"{not json \xff")) == [
        "00000000  7b 6e 6f 74 20 6a 73 6f 6e 20 ff                 {not json ."
    ]


def test_json_in_another_encoding_is_dumped() -> None:
    assert list(value_lines(b'"\xff"')) == ['00000000  22 ff 22                                         "."']


def test_a_dump_has_a_line_for_each_sixteen_bytes() -> None:
    lines = list(dump(bytes(range(40))))
    assert [line[:10] for line in lines] == ["00000000  ", "00000010  ", "00000020  "]
    assert lines[2].endswith(" !\"#$%&'")


def test_a_very_large_value_is_dumped_in_part() -> None:
    lines = list(value_lines(b"\xff" * (DUMPED_BYTES + 3)))
    assert len(lines) == DUMPED_BYTES // 16 + 1
    assert lines[-1] == "... and 3 bytes more: --raw has them all"


def test_nothing_that_a_terminal_would_obey_is_printed() -> None:
    assert plain("\x1b[2Jred\r\x9b1m") == "\\x1b[2Jred\\r\\x9b1m"
    assert key_text(b"\x1b[31m\xff") == "\\x1b[31m\\xff"
    assert list(value_lines('{"a": "\x9b31m"}'.encode()))[1] == '  "a": "\\x9b31m"'


def test_letters_of_any_language_are_kept() -> None:
    assert key_text("größe-日本".encode()) == "größe-日本"
