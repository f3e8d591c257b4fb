"""What every reader of datastores can be asked, whether it reads one or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.pooling import Answer
from tagmine.errors import ConfigurationError

if TYPE_CHECKING:
    import PIL.Image

    from index.encoder import Encoder


class Asking:
    """Questions in vectors, pictures or files, on top of `search`, `answers` and `encoder`."""

    encoder: Encoder

    def query(self, vectors: np.ndarray, k: int = 5) -> list[Answer]:
        """For each vector, its nearest images with captions and tags, and the pooled tags.

        Args and errors are those of `search`.
        """
        return self.answers(*self.search(vectors, k))

    def query_files(self, paths: Sequence[str | Path], k: int = 5) -> list[Answer]:
        """As `query`, for JPEG, PNG or WebP files, decoded as those of the datastore were.

        Raises:
            ConfigurationError: for a file that cannot be read or is no such picture.
        """
        side = self.encoder.image_size
        return self.query_images([_read_photo(Path(path), side) for path in paths], k)

    def query_images(self, images: Sequence[PIL.Image.Image], k: int = 5) -> list[Answer]:
        """As `query`, for pictures, embedded with the datastore's own encoder."""
        encoder = self.encoder
        batch = np.stack([encoder.preprocess(image) for image in images])
        return self.query(encoder.embed_images(batch), k)


def _read_photo(path: Path, shortest_side: int) -> PIL.Image.Image:
    from index.images import ImageLimits, ImageRejected, decode_image

    try:
        return decode_image(path.read_bytes(), ImageLimits(), shortest_side)
    except OSError as error:
        raise ConfigurationError(f"{path}: the photo cannot be read: {error.strerror}.") from error
    except ImageRejected as rejected:
        raise ConfigurationError(
            f"{path}: the photo cannot be used: {rejected.detail}. Give a JPEG, PNG or WebP file."
        ) from rejected
