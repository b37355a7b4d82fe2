"""From the markup of MediaWiki to plain text: templates, tables, footnotes and pictures go, the sentences stay."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from html import unescape

__all__ = ["plain_text"]

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_EMPTY_TAG = re.compile(r"<(?:ref|references|templatestyles|nowiki|section)\b[^<>]*/>", re.IGNORECASE)
_LEFT_OUT = re.compile(
    r"<(ref|math|chem|gallery|timeline|syntaxhighlight|source|score|imagemap|pre|graph|mapframe|includeonly|references)"
    r"\b[^<>]*>.*?</\1\s*>",
    re.IGNORECASE | re.DOTALL,
)
_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")
_TABLE = re.compile(r"^[ :*]*\{\|(?:(?!\{\||^[ ]*\|\}).)*^[ ]*\|\}", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\]]*\s*([^\]\n]*)\]|\[https?://\S+\s*([^\]\n]*)\]")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SWITCH = re.compile(r"__[A-Z]{3,}__")
_HEADING = re.compile(r"^(={2,6})\s*(.*?)\s*\1\s*$")
_MARKS = re.compile(r"^[*#:;]+\s*")
_BRACKETS = re.compile(r"\(\s*[,;:]*\s*\)|\{\{|\}\}")
_TAIL = {
    "see also", "references", "external links", "further reading", "bibliography", "notes", "sources", "footnotes",
    "notes and references", "citations", "gallery",
}  # fmt: skip
_NESTED = 12  # templates within templates, and links within captions
_UNITS = {"convert", "cvt"}
_FIRST = {
    "nowrap", "nobr", "small", "big", "em", "strong", "abbr", "as of", "formatnum", "sc", "ill", "interlanguage link",
}  # fmt: skip
_LAST = {"lang", "transl", "transliteration", "langx"}


def plain_text(markup: str, *, left_out: Collection[str] = ()) -> str:
    """The sentences of an article, its paragraphs parted by empty lines.

    Args:
        markup: the article's source.
        left_out: names, in small letters, of the namespaces of pictures and categories in its language; the English
            ones are known.
    """
    text = _COMMENT.sub("", markup)
    text = _LEFT_OUT.sub("", _EMPTY_TAG.sub("", text))
    text = _innermost_first(_TEMPLATE, _template, text)
    text = _innermost_first(_TABLE, lambda _: "", text)
    outside = {"file", "image", "category", *left_out}
    text = _innermost_first(_LINK, lambda match: _link(match, outside), text)
    text = _EXTERNAL.sub(lambda match: match.group(1) or match.group(2) or "", text)
    text = _SWITCH.sub("", _TAG.sub("", re.sub(r"'{2,5}", "", text)))
    text = _BRACKETS.sub("", unescape(text).replace("\xa0", " "))
    paragraphs = "\n".join(_lines(text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+", " ", paragraphs)).strip()


def _innermost_first(pattern: re.Pattern[str], replacement: object, text: str) -> str:
    for _ in range(_NESTED):
        text, changes = pattern.subn(replacement, text)  # type: ignore[call-overload]
        if not changes:
            break
    return text


def _template(match: re.Match[str]) -> str:
    name, *arguments = (part.strip() for part in match.group(1).split("|"))
    name = name.lower().replace("_", " ")
    given = [argument for argument in arguments if "=" not in argument]
    if name in _UNITS and len(given) >= 2:
        return f"{given[0]} {given[1]}"
    if name in _FIRST and given:
        return given[0]
    if (name in _LAST or name.startswith("lang-")) and given:
        return given[1] if name in {"lang", "langx"} and len(given) > 1 else given[-1]
    return "–" if name in {"snd", "spnd", "ndash", "–"} else ""


def _link(match: re.Match[str], outside: Collection[str]) -> str:
    target, bar, shown = match.group(1).partition("|")
    namespace, colon, _ = target.strip().partition(":")
    if colon and namespace.strip().lower() in outside:
        return ""
    if colon and not bar and re.fullmatch(r"[a-z]{2,3}(-[a-z]+)*", namespace):
        return ""  # the article in another language
    return shown.rpartition("|")[2] if bar else target.lstrip(":")


def _lines(text: str) -> Iterator[str]:
    """The lines that are text; headings and the lists at an article's end are left out."""
    skipping = False
    for line in text.split("\n"):
        heading = _HEADING.match(line.strip())
        if heading:
            if len(heading.group(1)) == 2:
                skipping = heading.group(2).strip().lower() in _TAIL
            yield ""
        elif not skipping:
            line = _MARKS.sub("", line.strip())
            if not line.startswith(("|", "!")):
                yield line
