"""Queries as people paste them: from web pages, word processors, numbered lists and mails."""

from __future__ import annotations

import html
import re

_TAGS = (
    "span|div|p|br|hr|a|b|i|u|s|em|strong|code|pre|tt|kbd|samp|font|mark|small|big|sub|sup|q|cite|blockquote|section"
    "|article|td|th|tr|table|tbody|thead|li|ul|ol|dl|dt|dd|h[1-6]|html|body|meta"
)
# An attribute needs its =, so that `bytes <a and b> 2` stays a query. Lengths have an end, so that time has.
_ATTRIBUTE = r"""\s{1,20}[\w:-]{1,40}\s{0,9}=\s{0,9}(?:"[^"]{0,2000}"|'[^']{0,2000}'|[^\s"'<>]{1,2000})"""
_PIECE = re.compile(
    rf"""(?P<tag></?(?:{_TAGS})(?:{_ATTRIBUTE}){{0,20}}\s{{0,20}}/?>|<!--.{{0,2000}}?-->)
    |(?P<straight>'[^']*'|"[^"]*")
    |(?P<single>[‘’‚‛`´′](?P<in_single>[^‘’‚‛`´′]*)[‘’‚‛`´′])
    |(?P<double>[“”„‟«»″](?P<in_double>[^“”„‟«»″]*)[“”„‟«»″])""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_CHARACTER_REFERENCE = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,30});", re.IGNORECASE)
_INVISIBLE = dict.fromkeys(
    [0xAD, 0xFEFF, 0x2060, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
_BLANKS = re.compile(r"""('[^']*'|"[^"]*")|\s+""")
_BLANK = re.compile(r"\s")
_LINE_NUMBER = re.compile(r"\s*\d{1,6}\s*[.):]?\s+(?=\S)")


def clean(pasted: str) -> str:
    """The query in what was pasted, on one line.

    HTML tags, a line number before it, a semicolon behind it and invisible characters go; character references, kinds
    of blanks and typographic quotes become plain. What stands in straight quotes keeps its tags and its quotes.
    """
    text = _PIECE.sub(_piece, pasted)
    text = _CHARACTER_REFERENCE.sub(lambda match: html.unescape(match[0]), text)
    text = _BLANKS.sub(lambda match: _BLANK.sub(" ", match[1] or " "), text.translate(_INVISIBLE)).strip().rstrip("; ")
    number = _LINE_NUMBER.match(text)
    return text[number.end() :] if number else text


def _piece(match: re.Match[str]) -> str:
    if match["tag"]:
        return " "
    if match["straight"]:
        return match[0]
    inside = match["in_double"] if match["single"] is None else match["in_single"]
    quote = '"' if match["single"] is None else "'"
    if quote in inside:
        quote = "'" if quote == '"' else '"'
    return quote + inside + quote
