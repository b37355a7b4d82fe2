"""The text of an HTML page: title and paragraphs, without menus and scripts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from knowledge_bases.importing.items import Document

__all__ = ["read_html"]

_LEFT_OUT = {"script", "style", "template", "noscript", "svg", "nav", "button", "select", "iframe", "head"}
_BLOCKS = {"p", "div", "section", "article", "main", "header", "footer", "aside", "h1", "h2", "h3", "h4", "h5", "h6",
           "ul", "ol", "dl", "table", "blockquote", "pre", "figure", "body", "hr"}  # fmt: skip
_LINES = {"br", "li", "tr", "dt", "dd", "figcaption", "caption"}
_CELLS = {"td", "th"}
_MARKED_SECTION = re.compile(r"<!\[(?!CDATA\[)[^>]*>?")  # HTML has none, and HTMLParser stops at those it does not know


def read_html(text: str) -> Document:
    """Title and text of a page. The title is that of the head, else the first heading; blocks become paragraphs."""
    page = _Page()
    page.feed(_MARKED_SECTION.sub("", text))
    page.close()
    lines = [re.sub(r"[ \t\r\f\v\xa0]+", " ", line).strip() for line in "".join(page.parts).split("\n")]
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return Document(title=_line(page.title) or _line(page.heading), text=body, picture=page.picture)


def _line(parts: list[str]) -> str:
    return " ".join("".join(parts).split())


class _Page(HTMLParser):
    """Collects what is read.

    Attributes:
        parts: the text, with newlines between blocks.
        title: pieces of the head's title.
        heading: pieces of the first heading.
        picture: address of the first picture.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self.heading: list[str] = []
        self.picture = ""
        self._left_out: list[str] = []
        self._in_title = self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begins an element."""
        if tag == "title" and "svg" not in self._left_out:
            self._in_title = True
        elif tag in _LEFT_OUT:
            if tag != "head" or not self._left_out:
                self._left_out.append(tag)
        elif tag == "body":
            self._left_out.clear()  # a head that was never closed
        elif not self._left_out:
            self._begin(tag, dict(attrs))

    def _begin(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n\n")
        elif tag in _LINES:
            self.parts.append("\n")
        elif tag == "img" and not self.picture:
            self.picture = attributes.get("src") or ""
        if tag == "h1" and not self.heading:
            self._in_heading = True

    def handle_endtag(self, tag: str) -> None:
        """Ends an element."""
        if tag == "title":
            self._in_title = False
        elif tag in self._left_out:
            del self._left_out[self._left_out.index(tag) :]
        elif not self._left_out:
            if tag == "h1":
                self._in_heading = False
            self.parts.append("\n\n" if tag in _BLOCKS else " " if tag in _CELLS else "")

    def handle_data(self, data: str) -> None:
        """Takes in text."""
        if self._in_title:
            self.title.append(data)
        elif not self._left_out:
            self.parts.append(re.sub(r"\s+", " ", data))
            if self._in_heading:
                self.heading.append(data)
