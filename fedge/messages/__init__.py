"""Messages to bytes and back, and the topics they travel on.

Every message is CBOR and starts with the version of its format. A reader
checks the size before it decodes, and every field before it is used; what
does not fit is refused with PayloadError. Everything that correctness depends
on is in the message itself, never only in MQTT 5 properties.
"""

from fedge.messages.blob import BlobChunk, BlobRequest
from fedge.messages.broadcasts import Broadcasts
from fedge.messages.chunks import CHUNK_BYTES, Assembly, Range, n_chunks, slice_chunk
from fedge.messages.manifest import (
    BlobRef,
    CatchUp,
    RoundKind,
    RoundManifest,
    RoundState,
    ServerRef,
)
from fedge.messages.reply import Accepted, Missing, Reason, Refused, Reply, decode_reply
from fedge.messages.state import AggregatorState, DeviceState, Followed, Presence, Skipped
from fedge.messages.statistics import StatisticsReport
from fedge.messages.topics import Topics, is_name, part_of
from fedge.messages.update import Facts, UpdateChunk, split_update
from fedge.messages.vectors import ServerVectors

__all__ = [
    "CHUNK_BYTES",
    "Accepted",
    "AggregatorState",
    "Assembly",
    "BlobChunk",
    "BlobRef",
    "BlobRequest",
    "Broadcasts",
    "CatchUp",
    "DeviceState",
    "Facts",
    "Followed",
    "Missing",
    "Presence",
    "Range",
    "Reason",
    "Refused",
    "Reply",
    "RoundKind",
    "RoundManifest",
    "RoundState",
    "ServerRef",
    "ServerVectors",
    "Skipped",
    "StatisticsReport",
    "Topics",
    "UpdateChunk",
    "decode_reply",
    "is_name",
    "n_chunks",
    "part_of",
    "slice_chunk",
    "split_update",
]
