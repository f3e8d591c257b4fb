"""Arrow IPC files of strangers: mapped and not decompressed, so that they cost what they have."""

from __future__ import annotations

import struct

import pyarrow as pa

_MAGIC = b"ARROW1\0\0"
# Places in the tables of Arrow's Message.fbs.
_HEADER = 2
_COMPRESSION = 3


def read_file(source: pa.NativeFile) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Schema and record batches of an uncompressed Arrow IPC file, views of the source.

    The messages are read in the order of the file: the index at its end may lead elsewhere. A
    compressed batch is refused, since a small one may become larger than any memory.

    Args:
        source: a memory-mapped file, or a buffer.

    Raises:
        ValueError: for a file that is compressed or no Arrow IPC file.
        pyarrow.ArrowException: for one that is damaged.
    """
    # The reader of files, too: it looks at the end, which this one never reaches.
    count = pa.ipc.open_file(source).num_record_batches
    source.seek(0)
    if source.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no Arrow IPC file")
    messages = pa.ipc.MessageReader.open_stream(source)
    first = next(messages, None)
    # Arrow reads whatever the header is as a schema.
    if first is None or first.type != "schema":
        raise ValueError("it does not begin with a schema")
    schema = pa.ipc.read_schema(first)
    batches = []
    for message in messages:
        if message.type != "record batch":
            raise ValueError(f"it has a message of type {message.type}")
        if _is_compressed(message.metadata.to_pybytes()):
            raise ValueError("it is compressed, expected uncompressed batches")
        batches.append(pa.ipc.read_record_batch(message, schema))
    if len(batches) != count:
        raise ValueError(f"it has {len(batches)} record batches, its end says {count}")
    return schema, batches


def _is_compressed(metadata: bytes) -> bool:
    """Whether the header of a record batch, a flatbuffer, has a compression."""
    try:
        message = struct.unpack_from("<I", metadata, 0)[0]
        header = _field(metadata, message, _HEADER)
        if header is None:
            raise ValueError("a record batch has no header")
        batch = header + struct.unpack_from("<I", metadata, header)[0]
        return _field(metadata, batch, _COMPRESSION) is not None
    except struct.error as error:
        raise ValueError(f"a malformed header: {error}") from error


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table lies; None where it has none."""
    places = table - struct.unpack_from("<i", data, table)[0]
    if places < 0:
        raise ValueError("a malformed header")
    slot = 4 + 2 * number
    if slot >= struct.unpack_from("<H", data, places)[0]:
        return None
    offset = struct.unpack_from("<H", data, places + slot)[0]
    return table + offset if offset else None
