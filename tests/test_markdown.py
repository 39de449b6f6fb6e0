"""Laws of untrusted text on TensorBoard's Text page: TensorBoard's own converter shows exactly the text."""

import html
import re

import pytest
from tensorboard.plugin_util import markdown_to_safe_html

from keras_dl import markdown

HOSTILE = [
    "![x](https://example.com/pixel.png)",
    "[click](javascript:alert(1))",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "<https://example.com> https://example.com",
    "a | b | c",
    "# heading",
    "1. one\n2. two\n- three\n+ four",
    "    four spaces at the start, and  two",
    "> quoted\n===\n---\n```\ncode\n```\n~~~",
    "*a* _b_ **c** __d__ `e` &amp; &#60; \\* $x$",
    "[1]: https://example.com\n[1]",
    "tab\there, escape \x1b[31m, right to left \u202e, null \0",
    "",
    " ",
    "line\n\n\nafter empty lines\n",
]


def shown(rendered):
    """The text that a browser shows of HTML, with its line breaks."""
    return html.unescape(re.sub(r"<br ?/?>", "\n", rendered)).replace("\xa0", " ")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_shown_as_it_is(text):
    rendered = markdown_to_safe_html(markdown.escaped(text))
    inner = re.fullmatch(r"(?:<p>(.*)</p>)?", rendered, re.DOTALL)[1] or ""
    assert not re.findall(r"<(?!br>|br ?/>)", inner)
    assert shown(inner) == re.sub("[\x00\t\x1b\u202e]", lambda match: match[0].encode("unicode_escape").decode(), text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_of_a_table_is_shown_as_it_is(text):
    rendered = markdown_to_safe_html(markdown.table(["source", "translation"], [["before", text], [text, "after"]]))
    assert set(re.findall(r"</?(\w+)", rendered)) <= {"table", "thead", "tbody", "tr", "th", "td", "br"}
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in rendered.split("<tr>")[1:]]
    expected = shown(markdown.escaped(text)).strip()
    assert [[shown(cell).strip() for cell in row] for row in rows] == [
        ["source", "translation"],
        ["before", expected],
        [expected, "after"],
    ]
