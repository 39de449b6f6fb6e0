"""keras_dl/pages.py: what is untrusted stays text, and nothing outside of the file is asked for."""

import html.parser
import re

import pytest

from keras_dl import pages

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'&"


class Reader(html.parser.HTMLParser):
    """Collects the tags, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


WAYS = ["heading", "sub_heading", "paragraph", "warning", "text", "table", "folded", "picture", "gallery", "title"]


@pytest.mark.parametrize("way", WAYS)
def test_untrusted_text_stays_text(way):
    page = pages.Page(HOSTILE if way == "title" else "a page")
    if way == "table":
        page.table([HOSTILE], [[HOSTILE]])
    elif way == "folded":
        page.table(["a"], [[1]], folded=HOSTILE)
    elif way == "picture":
        page.picture(b"\x89PNG", HOSTILE)
    elif way == "gallery":
        page.gallery([(HOSTILE, b"\x89PNG")])
    elif way != "title":
        getattr(page, way)(HOSTILE)
    read = Reader(page.html())
    assert "script" not in read.tags
    assert any("<script>alert(1)</script>" in text for text in read.texts)
    assert not re.search("[\x1b\u202e]", page.html())


def test_a_page_asks_for_nothing_outside_of_itself(tmp_path):
    page = pages.Page("a page")
    page.picture(b"\x89PNG", "a picture")
    page.write(tmp_path / "page.html")
    read = Reader((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not {"script", "link", "iframe", "object"} & set(read.tags)
    sources = [value for name, value in read.attributes if name in ("src", "href")]
    assert sources == ["data:image/png;base64,iVBORw=="]
    assert ("content", pages.POLICY) in read.attributes and "default-src 'none'" in pages.POLICY


def test_columns_of_numbers_are_aligned_to_the_right():
    page = pages.Page("a page")
    page.table(["class", "count", "share"], [["seven", 1200, 0.123456789], ["two", None, 1.0]])
    cells = re.findall(r"<td( class=\"number\")?>([^<]*)</td>", page.html())
    assert [bool(mark) for mark, _ in cells] == [False, True, True] * 2
    assert [text for _, text in cells] == ["seven", "1,200", "0.123457", "two", "", "1"]
