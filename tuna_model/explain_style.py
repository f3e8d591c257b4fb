"""The rules that the page of one answer has beside those of all our pages."""

from __future__ import annotations

from collections.abc import Sequence

from tuna_model.explanation import Box

_STYLE = """
.question { font-size: 1.15rem; margin-bottom: .6rem; max-width: none; }
#answer dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr));
  gap: .75rem; margin: 0 0 .5rem; }
#answer dl > div { background: var(--soft); border-radius: .5rem; padding: .6rem .85rem; }
#answer .asked { outline: 2px solid var(--series-0); outline-offset: -2px; }
#answer dt { color: var(--quiet); font-size: .82rem; }
#answer dd { margin: .1rem 0 0; font-size: 1.05rem; }
.look { display: grid; grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr); gap: 1.5rem;
  align-items: start; margin-top: .5rem; }
.photo { position: sticky; top: 1rem; max-width: 44rem; }
.frame { position: relative; overflow: hidden; border-radius: .5rem; background: var(--soft);
  line-height: 0; }
.frame > img { width: 100%; height: auto; display: block; }
.seen { position: absolute; }
main:has(input[name=tag]:checked):not(:has(#none:checked)) .seen {
  box-shadow: 0 0 0 200rem rgb(0 0 0 / .6); }
.map { position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; }
.photo figcaption { font-size: .82rem; line-height: 1.4; margin-top: .6rem; }
.scale { max-width: 22rem; } .scale svg { display: block; width: 100%; height: .75rem;
  border: 1px solid var(--quiet); border-radius: .2rem; background: #fff; }
.scale > div { display: grid; grid-template-columns: 1fr 1fr 1fr; color: var(--text);
  font-variant-numeric: tabular-nums; }
.scale span:nth-child(2) { transform: translateX(-.9rem); } .scale span:last-child {
  text-align: right; }
.photo figcaption p { margin: .35rem 0 0; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
fieldset legend { color: var(--quiet); font-size: .88rem; padding: 0; margin-bottom: .4rem; }
.read { list-style: none; margin: 0; padding: 0; }
.read label { display: grid; grid-template-columns: auto minmax(0, 1fr) 5rem 3.4rem;
  gap: 0 .6rem; align-items: center; padding: .4rem .6rem; border-radius: .5rem; cursor: pointer;
  border: 2px solid transparent; }
.read label.alone { grid-template-columns: auto minmax(0, 1fr); color: var(--quiet); }
.read label:hover { background: var(--soft); }
.read label:has(:checked) { background: var(--soft); border-color: var(--series-0); }
.read label:has(:focus-visible) { outline: 3px solid var(--link); outline-offset: 1px; }
.read input { margin: 0; width: 1.1rem; height: 1.1rem; accent-color: var(--series-0); }
.read input:focus-visible { outline: none; }
.read .name { font-weight: 600; } .kind { color: var(--quiet); font-size: .8rem; font-weight: 400; }
.read .badge { vertical-align: .1em; }
.read .number { text-align: right; font-variant-numeric: tabular-nums; }
.read .bar { background: var(--line); }
.read .mark { fill: var(--series-0); }
.read .about { grid-column: 2 / -1; color: var(--quiet); font-size: .82rem; }
.near { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr));
  gap: .75rem; list-style: none; margin: .5rem 0; padding: 0; }
.near > li { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .85rem; }
.near img { max-width: 100%; border-radius: .3rem; display: block; margin: 0 0 .5rem; }
.near h3 { font-weight: 400; font-size: .9rem; }
.near p { margin: 0 0 .35rem; }
.near .score { font-weight: 600; font-variant-numeric: tabular-nums; }
.near .gave { color: var(--quiet); font-size: .85rem; margin: .4rem 0 0; }
@media (max-width: 48rem) {
  /* A grid's cell would hold the photo fast; here it stays in sight while the list scrolls. */
  .look { display: block; }
  .photo { top: 0; z-index: 1; background: var(--card); padding: .5rem 0; max-width: none; }
  .read input { scroll-margin-top: 54vh; }
  .frame > img { max-height: 42vh; width: auto; max-width: 100%; }
  .frame { width: fit-content; margin: 0 auto; }
  .photo figcaption p { display: none; }
  .read label { grid-template-columns: auto minmax(0, 1fr) 3.5rem 3.2rem; padding: .5rem .4rem; }
}
@media print { .photo { position: static; } }
"""


def page_style(crop: Box, neighbours: Sequence[Sequence[int]]) -> str:
    """The rules of one page.

    Args:
        crop: where the maps lie on the photo, as shares of its width and height.
        neighbours: for each tag, the positions of the neighbours that have it.
    """
    left, top, right, bottom = (100 * side for side in crop)
    rules = [
        _STYLE,
        f".seen {{ left: {left:.3f}%; top: {top:.3f}%; width: {right - left:.3f}%; "
        f"height: {bottom - top:.3f}%; }}",
    ]
    for place, having in enumerate(neighbours):
        chosen = f"main:has(#t{place}:checked)"
        rules.append(f"{chosen} .m{place} {{ opacity: 1; }}")
        if having:
            names = ", ".join(f".n{int(one)}" for one in having)
            rules.append(
                f"{chosen} :is({names}) {{ border-color: var(--series-0); "
                "box-shadow: 0 0 0 1px var(--series-0); }"
            )
    return "\n".join(rules) + "\n"
