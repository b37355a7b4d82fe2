"""Articles of a Wikipedia dump, one at a time: `...-pages-articles.xml.bz2`, or the unpacked XML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote
from xml.etree import ElementTree

from knowledge_bases.importing.items import Document
from knowledge_bases.importing.wikitext import plain_text

__all__ = ["articles"]

_PICTURES, _CATEGORIES = "6", "14"  # numbers of namespaces


def articles(stream: BinaryIO) -> Iterator[Document]:
    """Every article with text; redirects and other namespaces are passed over. Memory holds one article.

    The id is the page's number, which stays when a page is renamed.

    Args:
        stream: the XML, unpacked.

    Raises:
        ValueError: it is no dump of MediaWiki, or it is cut short.
    """
    base, left_out = "", set[str]()
    root: ElementTree.Element | None = None
    try:
        for event, element in ElementTree.iterparse(stream, events=("start", "end")):
            if root is None:
                root = element
                if _name(root) != "mediawiki":
                    raise ValueError(
                        f"no dump of MediaWiki: it begins with <{_name(root)}>; give a pages-articles file"
                    )
            if event == "start":
                continue
            name = _name(element)
            if name == "base":
                base = (element.text or "").rpartition("/")[0] + "/"
            elif name == "namespace" and element.get("key") in {_PICTURES, _CATEGORIES}:
                left_out.add((element.text or "").lower())
            elif name == "page":
                article = _article(element, base, left_out)
                root.clear()
                if article is not None:
                    yield article
    except (ElementTree.ParseError, EOFError, OSError) as error:
        raise ValueError(f"the dump is cut short or damaged ({error}); fetch it again") from error


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _article(page: ElementTree.Element, base: str, left_out: set[str]) -> Document | None:
    found: dict[str, str] = {}
    for element in page.iter():
        found.setdefault(_name(element), element.text or "")  # the page's own id comes before the revision's
    if found.get("ns") != "0" or "redirect" in found:
        return None
    text = plain_text(found.get("text", ""), left_out=left_out)
    if not text:
        return None
    title = found.get("title", "")
    source = base + quote(title.replace(" ", "_"), safe="/:(),'!*") if base else ""
    return Document(title=title, text=text, passage_id=f"wiki-{found.get('id', title)}", source=source)
