"""The examples below each command's help."""

from __future__ import annotations

EXAMPLES = {
    "build": """\
examples:
  tagmine build 'cc3m/{00000..00331}.tar' --out cc3m-tags
  tagmine build coco/*.tar --out coco-tags --caption-json-field captions
  tagmine build fashion/*.tar --out fashion-tags --clip-model demo \\
      --tag-fields articleType,baseColour

An interrupted build goes on where it stopped: run the same command again.""",
    "mine": """\
examples:
  tagmine mine coco/*.tar --out coco-tags --caption-json-field captions
  tagmine mine coco/*.tar --caption-json-field captions --show 20 --show-html tags.html
  tagmine mine coco/*.tar --out coco-tags --caption-json-field captions \\
      --annotations vqa.parquet --annotations-key image_id

Writes tags/ and rejects/mine/. Run embed and index on the same --out next.""",
    "embed": """\
example:
  tagmine embed coco/*.tar --out coco-tags --clip-model ViT-L-14/datacomp_xl_s13b_b90k

Writes embeddings/ and rejects/embed/. Give the same shards and member keys as to mine.""",
    "index": """\
examples:
  tagmine index coco-tags
  tagmine index cc12m-tags --max-index-memory-usage 2G
  tagmine index cc12m-tags --index-key OPQ32_128,IVF4096,PQ32x8
  tagmine index cc12m-tags --recall 0.95 --at 5
  tagmine index cc12m-tags --min-tag-images 5

Trains once on a uniform sample of all parts, fills index/, counts the tags into vocabulary/ and
writes manifest.json. What is current is kept, so another --min-tag-images only rewrites the
manifest.""",
    "tags": """\
examples:
  tagmine tags coco-tags
  tagmine tags coco-tags --kind entity --label GPE -n 50
  tagmine tags coco-tags --contains "red car" --json
  tagmine tags coco-tags --write vocabulary.csv

Shows how many unique tags there are, in all and of each kind and entity label, how many tags an
image has, the commonest and the rarest with the number of images that have them, and what each
--min-tag-images of tagmine index would leave out. On a folder that tagmine index has not been
through, it counts what is mined so far.""",
    "diff": """\
examples:
  tagmine diff coco-tags coco-tags-new
  tagmine diff coco-tags coco-tags-new --html diff.html
  tagmine diff old/report/report.json new/report/report.json --json

Shows what changed from A to B: images and parts added or removed, tags gained and lost, recall,
size and drift as their reports have them, gates of the verdict, and what they were made with.
Datastores need no report; without one, recall and gates are left out.""",
    "verify": """\
example:
  tagmine verify coco-tags

Exits with 0 and a summary, or with 1 and the first thing that is not as the manifest says.""",
    "validate": """\
examples:
  tagmine validate coco-tags --queries 'coco-val/{0000..0003}.tar'
  tagmine validate coco-tags --sample 1000
  tagmine validate cc3m-tags --queries cc3m-val/*.tar --sample 2000 --min-recall 0.95 \\
      --num-workers 8 --out reports/cc3m

Writes report.json with every number and index.html with plots and pictures; docs/validation.md
says how to read them. Exits with 1 when the datastore falls short of the verdict's thresholds.""",
    "retrieve": """\
examples:
  tagmine retrieve 'train/{00000..00066}.tar' --datastore cc3m-tags --out train-retrievals
  tagmine retrieve llava_v1_5_mix665k.json --image-folder images --datastore cc3m-tags \\
      --out llava-retrievals --num-workers 8
  tagmine retrieve train.json --image-folder images --datastore my-tags --out mine \\
      --clip-model ViT-B-32/weights.safetensors -k 10 --exclude-above 0.95

Writes parts/, rejects/ and, last, retrievals.json with the counts. Run the same command again to go
on after an interruption. Rows of text only need no retrieval; they are counted.""",
    "jobs": """\
examples:
  tagmine jobs cc3m-tags
  tagmine jobs cc3m-tags --prometheus > /var/lib/node_exporter/tagmine.prom

Reads the records that jobs keep in DIR/jobs, one file each, written about every second while the
job runs; docs/format.md says what is in them. A job that was killed stays "running"; its record is
then no longer updated.""",
    "query": """\
examples:
  tagmine query coco-tags photo.jpg -k 5
  tagmine query coco-tags *.jpg --json > answers.json

For each photo: the nearest images, their captions and tags, and the tags of all of them pooled.
A pooled tag's votes are the neighbours that have it; its score is their share of the neighbours'
summed similarity, from 0 to 1.""",
}
