"""How rows are cut into chunks, shards, segments and tails: budgets in bytes, and the arithmetic on them (FORMAT.md sections 6 and 9)."""

KIB = 1 << 10
MIB = 1 << 20

#: Decoded bytes of an inner chunk: small enough for quick slices, large enough to compress.
CHUNK_BYTES = 256 * KIB
#: The same for the bytes of text and payloads.
PAYLOAD_CHUNK_BYTES = 1 * MIB
#: Decoded bytes of a shard at most.
SHARD_BYTES = 256 * MIB
#: Rows of a segment at most.
SEGMENT_ROWS = 64 * MIB

#: An append of at most so many bytes may be inlined in its commit as a tail.
TAIL_BYTES = 128 * KIB
#: So many tails of a window, or so many bytes of them, must be folded into a segment.
TAIL_COUNT = 256
TAIL_TOTAL_BYTES = 1 * MIB
#: So many bytes of tails one commit may hold, over all of its windows; beyond, the largest of them become segments,
COMMIT_TAILS_BYTES = 4 * MIB
#: but for those of at most so many bytes, since a segment is a dozen files.
TINY_TAIL_BYTES = 4 * KIB


def chunk_length(length: int, element_bytes: int, budget_bytes: int) -> int:
    """Elements per inner chunk: equal parts of about the budget, so that the last is hardly ever padded.

    >>> chunk_length(100_000, 8, CHUNK_BYTES)
    25000
    """
    chunks = max(1, min(length, _ceil_div(length * element_bytes, budget_bytes)))
    return max(1, _ceil_div(length, chunks))


def shard_length(length: int, chunk: int, element_bytes: int) -> int:
    """Elements per shard: whole chunks, all of them where they fit a shard, else equal numbers of them."""
    chunks = max(1, _ceil_div(length, chunk))
    at_most = max(1, SHARD_BYTES // (chunk * element_bytes))
    shards = _ceil_div(chunks, at_most)
    return chunk * _ceil_div(chunks, shards)


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
