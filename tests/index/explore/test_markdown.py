"""A card's Markdown as HTML: its tables are tables, and what strangers wrote is text."""

from __future__ import annotations

import pytest

from index.explore.markdown import render_markdown


def test_tables_headings_and_code_are_shown_as_such():
    html = render_markdown(
        "# Shop\n\n## Sizes\n\n| | |\n|---|---|\n| images | 24 |\n\n```\na\nb\n```\n"
    )
    assert "<h3>Shop</h3>" in html and "<h4>Sizes</h4>" in html
    assert "<td>images</td>\n<td>24</td>" in html and "<pre><code>a\nb\n</code></pre>" in html


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "a <b onclick='x'>b</b>",
        "<script>\nalert(1)\n</script>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,y)",
        "![x](https://example.com/x.png)",
        '[x](https://example.com "\\"onclick=alert(1)")',
        "| <i>x</i> |\n|---|\n| <svg onload=x> |",
    ],
)
def test_nothing_of_a_stranger_is_obeyed(text):
    html = render_markdown(text)
    for opened in ("<img", "<b ", "<script", "<i>", "<svg", 'href="javascript', 'href="data'):
        assert opened not in html
    assert '"onclick' not in html


def test_letters_that_turn_lines_around_are_left_out():
    assert "\u202e" not in render_markdown("abc \u202eteksab")
