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
    "push": """\
examples:
  tagmine push fashion-tags s3://my-bucket/fashion-tags
  tagmine push fashion-tags hf://datasets/me/fashion-tags
  tagmine push fashion-tags gs://my-bucket/fashion-tags --with-pictures

Files that are there with the same content are not sent again, every other is compared after it
was sent, and manifest.json goes last: run the same command again after an interruption.
Credentials are taken from the environment. docs/stores.md tells more.""",
    "pull": """\
examples:
  tagmine pull s3://my-bucket/fashion-tags fashion-tags
  tagmine pull hf://datasets/me/fashion-tags fashion-tags

Each file is compared with the manifest before it gets its name, and manifest.json comes last: run
the same command again after an interruption. To query a datastore once, no pull is needed:
tagmine query s3://my-bucket/fashion-tags photo.jpg keeps a copy in the cache.""",
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
    "shards": """\
examples:
  tagmine shards catalogue.csv --image-folder photos --out shop --caption-columns title,details \\
      --key-column sku --tag-fields brand,category --vocabulary-fields brand
  tagmine shards fashiongen_256_256_train.h5 --out fashiongen --poses one --num-workers 8
  tagmine shards annotations/captions_val2017.json annotations/instances_val2017.json \\
      --image-folder val2017 --out coco
  tagmine shards my-dataset --out mine --split train --image-column photo

Writes 00000.tar and so on, rejects/, vocabulary/ and, last, shards.json with the counts, and prints
the tagmine build that goes on with them. Rows of one image are one sample. Run the same command
again to go on after an interruption, or when the source has changed.""",
    "retrieve": """\
examples:
  tagmine retrieve 'train/{00000..00066}.tar' --datastore cc3m-tags --out train-retrievals
  tagmine retrieve llava_v1_5_mix665k.json --image-folder images --datastore cc3m-tags \\
      --out llava-retrievals --num-workers 8
  tagmine retrieve train.json --image-folder images --datastore my-tags --out mine \\
      --clip-model ViT-B-32/weights.safetensors -k 10 --exclude-above 0.95

Writes parts/, rejects/ and, last, retrievals.json with the counts. Run the same command again to go
on after an interruption. Rows of text only need no retrieval; they are counted.""",
    "remove": """\
examples:
  tagmine remove coco-tags --keys takedown.txt

A line of the file is a key as tagmine query prints it (coco/train-0000/000000089232), a glob of
keys (coco/train-0000/*), an id (id:139), a URL, or the sha256 of an image file. A number alone is
refused, since samples are named by numbers, too. Datastores hold no URLs and no pictures: for those
the shards are read, img2dataset's fields url and sha256 of the JSON too. Nobody who opens the
datastore afterwards sees the images, and tagmine build leaves them out. A key, URL or hash that is
found nowhere is kept out, too.""",
    "compact": """\
example:
  tagmine compact coco-tags

Rewrites the parts, index shards, vocabulary and report that hold what tagmine remove took out.
Hashes of keys stay, by which tagmine build knows what to leave out. Ids of the others stay.""",
    "jobs": """\
examples:
  tagmine jobs cc3m-tags
  tagmine jobs cc3m-tags --prometheus > /var/lib/node_exporter/tagmine.prom

Reads the records that jobs keep in DIR/jobs, one file each, written about every second while the
job runs; docs/format.md says what is in them. A job that was killed is shown as "stopped?" once
nothing was heard of it for a minute. On another runner, such as Flink, parts of mine, embed and
retrieve count once they appear; those found finished, and those of other stages, when it ends.""",
    "compare": """\
examples:
  tagmine compare 'held-out/*.tar' --datastores general-tags fashion-tags general-tags+fashion-tags
  tagmine compare fashion-val/*.tar --tag-fields articleType,baseColour \\
      --datastores general-tags fashion-tags general-tags=30%+fashion-tags=70% --html swap.html
  tagmine compare held-out-tags --datastores general-tags fashion-tags --json

For held-out images whose tags are known: which share of the first 5, 10 and 24 retrieved tags is
right, and which share of the known tags is among them, for each datastore or stack, with bootstrap
intervals; and the images where they differ most, on the page with pictures. Tags are compared by
their lemma in any capitals, whatever their kind.""",
    "merge": """\
examples:
  tagmine merge general-tags fashion-tags --out both-tags
  tagmine merge cc3m-tags cc12m-tags --out cc15m-tags --max-index-memory-usage 2G --num-workers 8

Parts are numbered in the order of the datastores; images keep their keys, vectors, captions, tags
and rejects, and origins/ says which datastore and id each row had. A shard that several hold is
taken from the first. An index of all is trained anew, and everything verified. Run the same command
again to go on after an interruption.""",
    "subset": """\
examples:
  tagmine subset cc12m-tags --where "list_contains(heads, 'dress')" --out dresses
  tagmine subset coco-tags --where "hash(key) % 100 = 0" --out coco-sample
  tagmine subset fashion-tags --out blue \\
      --where "list_contains(lemmas, 'Blue') AND source LIKE 'fashion/%'"

Writes a datastore of the rows that the condition holds for, with their vectors, captions and tags,
an index of their own and origins/, which says what id each row had. Nothing is embedded again, and
everything verified. Run the same command again to go on after an interruption.""",
    "query": """\
examples:
  tagmine query coco-tags photo.jpg -k 5
  tagmine query coco-tags *.jpg --json > answers.json
  tagmine query general-tags fashion-tags photo.jpg
  tagmine query general-tags=30% fashion-tags=70% photo.jpg -k 10

For each photo: the nearest images, their captions and tags, and the tags of all of them pooled.
A pooled tag's votes are the neighbours that have it; its score is their share of the neighbours'
summed similarity, from 0 to 1. Of several datastores, each neighbour says which it is in.""",
    "explore": """\
examples:
  tagmine explore coco-tags
  tagmine explore general fashion
  tagmine explore general=60% fashion=40%
  tagmine explore cc12m-tags --shards 'cc12m/{00000..01241}.tar' --port 9000 --no-browser

Opens a page on this machine, for this machine: drop a photo or type words, see the nearest images,
their captions and pooled tags, of one datastore or of several side by side and stacked; browse the
vocabulary; read card and verdict. With a trained model, tagmine-tuna explore also answers
questions.""",
}
