"""`tagmine build`: mine, embed, index, verify."""

from __future__ import annotations

from rich.console import Console

from index.search import is_local_checkpoint
from pipelines import embed, index, mine, verify
from pipelines.options import BuildOptions, VerifyOptions
from pipelines.shards import open_output, plan_inputs
from tagmine.layout import locked


def run(options: BuildOptions, console: Console) -> None:
    """Run the whole build; every model and option is checked before the first shard is read."""
    index.check(options.index)
    _, tagger_pin = mine.prepare(options.mine)
    encoder_pin = embed.prepare(options.embed)
    plan = plan_inputs(options.mine.out, options.mine.inputs, console)
    with locked(plan.root):
        sources = open_output(plan)
        mine.mine(options.mine, plan, tagger_pin, console)
        embed.embed(options.embed, plan, encoder_pin, console)
        manifest = index.index(options.index, plan.root, sources, console)
    verify.run(VerifyOptions(str(plan.root)), console)
    model = options.embed.clip_model
    again = f" --clip-model {model}" if is_local_checkpoint(model) else ""
    console.print(
        f"\n{manifest.images:,} images in {plan.root}\n"
        f"Look at it: tagmine query {options.mine.out} PHOTO.jpg{again}",
        highlight=False,
        soft_wrap=True,
    )
