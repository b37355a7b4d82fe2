"""Text, Markdown, HTML and PDF files as documents."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import PurePosixPath

from knowledge_bases.importing.items import Document, RowError
from knowledge_bases.importing.web_pages import read_html

__all__ = ["DOCUMENT_KINDS", "read_document"]

DOCUMENT_KINDS = (".txt", ".md", ".html", ".htm", ".pdf")
_MARKDOWN_PICTURE = re.compile(r"!\[[^\]]*\]\(\s*<?([^)>\s]+)[^)]*\)")


def read_document(name: str, content: bytes, encoding: str) -> list[Document]:
    """The documents in a file: one, or in a PDF one a page.

    Raises:
        RowError: it cannot be read.
    """
    kind = PurePosixPath(name).suffix.lower()
    if kind == ".pdf":
        return _pdf(name, content)
    text = _decoded(content, encoding)
    if kind in (".html", ".htm"):
        return [read_html(text)]
    return [_markdown(text) if kind == ".md" else Document(title="", text=text)]


def _markdown(text: str) -> Document:
    """A first heading is the title; pictures give way to their own place beside the text."""
    text = text.strip()
    first, _, rest = text.partition("\n")
    title = ""
    if first.startswith("#"):
        title, text = first.lstrip("#").strip(), rest.strip()
    picture = _MARKDOWN_PICTURE.search(text)
    text = re.sub(r"\n{3,}", "\n\n", _MARKDOWN_PICTURE.sub("", text))
    return Document(title=title, text=text, picture=picture.group(1) if picture else "")


def _pdf(name: str, content: bytes) -> list[Document]:
    """One document a page that has text; the page's number stands in its id."""
    from pypdf import PdfReader

    try:
        reader = PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise RowError("the PDF needs a password; save a copy without one")
        title = " ".join(str((reader.metadata.title if reader.metadata else "") or "").split())
        texts = [page.extract_text() for page in reader.pages]
    except RowError:
        raise
    except Exception as error:  # a broken file can raise errors of any kind from anywhere inside pypdf
        reason = " ".join(str(error).split())[:120]
        raise RowError(f"not a PDF that can be read ({reason}); print it to a new PDF") from error
    pages = [
        Document(title=title, text=_unwrapped(text), passage_id=f"{name}#page={number}")
        for number, text in enumerate(texts, start=1)
        if text.strip()
    ]
    if not pages:
        raise RowError("the PDF holds pictures of text only; run text recognition (OCR) over it first")
    return pages


def _unwrapped(text: str) -> str:
    """Lines of a page joined to paragraphs, words that a hyphen parts at a line's end put together."""
    text = text.encode("utf-8", errors="replace").decode("utf-8")
    text = re.sub(r"(?<=[^\W\d_])-\n(?=[a-zà-ÿ])", "", text)
    return "\n\n".join(" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip())


def _decoded(content: bytes, encoding: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise RowError(
            f"not {error.encoding} at byte {error.start}; save it as UTF-8 or give its encoding, such as cp1252"
        ) from error
