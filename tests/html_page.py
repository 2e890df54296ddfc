"""Pages of HTML as trees, for tests."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})


class _Parser(HTMLParser):
    """Strict: each element is closed, by its own end, in the order of nesting."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = TreeBuilder()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Only of SVG."""
        assert "svg" in self.open, tag
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        self.builder.end(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.builder.data(data)
        else:
            assert not data.strip()


def tree_of(page: str) -> Element:
    """The <html> element. Fails when the page is not well formed."""
    assert page.startswith("<!DOCTYPE html>\n")
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser.builder.close()


def text_of(element: Element) -> str:
    """All text in an element, blanks as one."""
    return " ".join("".join(element.itertext()).split())
