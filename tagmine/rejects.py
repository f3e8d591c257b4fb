"""Why a sample is not in the datastore: the reasons, and the row that records one."""

from __future__ import annotations

import dataclasses

MAX_DETAIL = 300

REASONS: dict[str, str] = {
    "unsafe_path": "the member's name is absolute or leads out of the archive",
    "unsafe_member": "the member is a link, a device or another thing that is not a plain file",
    "duplicate_key": "an earlier sample of the shard has the same key",
    "member_too_large": "a member that would be read is larger than its limit",
    "broken_shard": "the archive ends or breaks here; the samples before it were read",
    "no_caption": "the sample has no caption member, or the JSON field is missing",
    "empty_caption": "every caption of the sample is empty, and no answer says anything",
    "caption_too_long": "a caption is longer than its limit",
    "caption_not_utf8": "a caption is not valid UTF-8 text",
    "caption_too_few_words": "every caption was filtered out, the first for having too few words",
    "caption_too_many_words": "every caption was filtered out, the first for having too many words",
    "caption_language": "every caption was filtered out, the first for being in another language",
    "caption_blocked": "every caption was filtered out, the first for a word or phrase on the "
    "blocklist",
    "too_many_captions": "the sample has more captions and answers than the limit",
    "bad_json": "the JSON member is no JSON, is nested too deep, too long or of the wrong form",
    "no_image": "the sample has no image member",
    "image_undecodable": "the image is no JPEG, PNG or WebP, or is damaged",
    "image_too_large": "the image has more pixels than the limit",
    "decoder_crashed": "decoding the image ends the process that does it",
    "image_missing": "the image folder has no such file, or it cannot be read",
    "unsafe_image_path": "the image's path is absolute or leads out of the image folder",
    "bad_row": "the row of the table cannot be parsed, or holds what no sample can",
    "bad_encoding": "the row of the table is in another encoding than it is read as: try "
    "--encoding cp1252, with another --out",
    "bad_key": "the row has no key, or one that is too long",
    "other_pose": "another photo of the same product is kept",
    "no_tags_row": "the image was embedded but its caption was rejected, so it is not indexed",
    "removed": "the sample was taken out with tagmine remove; it is counted, and has no row",
    "low_clip_score": "the image's CLIP score with its captions is below the limit, or not known",
}

REMOVED = "removed"
"""The one reason whose samples are counted and listed nowhere."""

STAGES = ("mine", "embed", "index")
"""The stages of a datastore."""

RETRIEVE = "retrieve"
BRING = "shards"
_ALL = (*STAGES, RETRIEVE, BRING)


@dataclasses.dataclass(frozen=True, slots=True)
class Reject:
    """One sample that a stage left out.

    Attributes:
        id: the sample's id.
        key: its namespaced key, as far as it is known.
        stage: "mine", "embed" or "index"; or "retrieve" or "shards", outside of a datastore.
        reason: a key of `REASONS`.
        detail: what was found, at most 300 characters.

    Raises:
        ValueError: for an unknown stage or reason, or one that has no rows.
    """

    id: int
    key: str
    stage: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.stage not in _ALL:
            raise ValueError(f"stage {self.stage!r} is none of {', '.join(_ALL)}")
        if self.reason not in REASONS or self.reason == REMOVED:
            raise ValueError(f"reject reason {self.reason!r} is none of {', '.join(REASONS)}")
