"""`tagmine build`: mine, embed, index, verify."""

from __future__ import annotations

import shlex

from rich.console import Console

from index.factory import create_index
from index.search import is_local_checkpoint
from pipelines import embed, index, mine, verify
from pipelines.options import BuildOptions, VerifyOptions
from pipelines.shards import look_inside, open_output, plan_inputs, refuse_mixing
from pipelines.thumbnails import keep_thumbnails
from tagmine.layout import ENCODER_PIN, TAGGER_PIN, locked
from tagmine.mirror import address_of, check_stored


def run(options: BuildOptions, console: Console) -> None:
    """Run the whole build; every model and option is checked before the first shard is read."""
    index.check(options.index)
    mine.refuse_far_annotations(options.mine)
    plan = plan_inputs(options.mine.out, options.mine.inputs)
    tagger_pin = mine.prepare(options.mine)
    embed_options = embed.keep_scores(options.embed, plan.root)
    encoder_pin = embed.prepare(embed_options)
    if options.index.index_key is not None:
        create_index(options.index.index_key, encoder_pin.dim)
    refuse_mixing(plan, TAGGER_PIN, tagger_pin, "mine")
    refuse_mixing(plan, ENCODER_PIN, encoder_pin, "embed")
    look_inside(plan, options.mine.inputs, console)
    with locked(plan.root):
        sources = open_output(plan)
        mine.mine(options.mine, plan, tagger_pin, console)
        embed.embed(embed_options, plan, encoder_pin, console)
        if options.thumbnails is not None:
            fields, runner = options.embed.inputs.fields, options.embed.runner
            keep_thumbnails(options.thumbnails, fields, runner, plan, console)
        manifest = index.index(options.index, plan.root, sources, console)
    verify.run(VerifyOptions(str(plan.root)), console)
    check_stored(plan.root, {card.path: card.bytes for card in manifest.files()})
    place = address_of(plan.root)
    model = options.embed.clip_model
    again = f" --clip-model {shlex.quote(model)}" if is_local_checkpoint(model) else ""
    out = options.mine.out
    look = f"\nLook at it: tagmine query {shlex.quote(out)} PHOTO.jpg{again}"
    # Which is gone when this process is.
    look = "" if out.startswith("memory://") else look
    console.print(
        f"\n{manifest.live_images:,} images in {place}\n"
        f"  tags        {place}/tags\n"
        f"  embeddings  {place}/embeddings\n"
        f"  index       {place}/index\n"
        f"  rejects     {place}/rejects{look}",
        highlight=False,
        soft_wrap=True,
    )
