"""The text of a card as HTML: strangers may have written it, and everything in it is text."""

from __future__ import annotations

from markdown_it import MarkdownIt

from tagmine.printable import printable

# Below the page's own: the card's title is under its second.
_HEADINGS_BELOW = 2


def render_markdown(text: str) -> str:
    """HTML of CommonMark with tables.

    HTML within it is shown and not obeyed, pictures are links, and links run no script.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse("\n".join(printable(line) for line in text.splitlines()))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _HEADINGS_BELOW)}"
    return parser.renderer.render(tokens, parser.options, {})
