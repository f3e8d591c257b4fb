"""The flags that say how an index is trained, tuned and stored."""

from __future__ import annotations

import argparse

from pipelines.options import DEFAULT_RECALL_AT, DEFAULT_TRAINING_MEMORY


def add_training_and_tuning(group: argparse._ArgumentGroup) -> None:
    """What a large or growing index needs besides its key and size."""
    group.add_argument(
        "--max-training-memory",
        default=DEFAULT_TRAINING_MEMORY,
        metavar="SIZE",
        help="memory that the training sample may take, a uniform one of all parts; clustering "
        "takes about as much again (default: %(default)s)",
    )
    group.add_argument(
        "--retrain",
        action="store_true",
        help="train on all parts again; without it, shards that are added are filled into the "
        "index as it was trained before",
    )
    group.add_argument(
        "--recall",
        type=float,
        metavar="SHARE",
        help="tune the search: take the fewest lists and the smallest exact re-rank that find this "
        "share of the nearest images, measured on up to 1,000 images of the datastore, each left "
        "out of its own answer; the goal stays when the datastore grows (default: not measured)",
    )
    group.add_argument(
        "--at",
        type=int,
        metavar="K",
        help=f"how many nearest images --recall looks at (default: {DEFAULT_RECALL_AT})",
    )
    group.add_argument(
        "--merge-ondisk",
        action="store_true",
        help="also merge the index shards into one index, whose lists FAISS maps from one file; "
        "searches then use it",
    )
