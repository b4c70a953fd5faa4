/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c: reassembles byte streams. A byte that was received must never be replaced by another.
 */
#include "stream.h"

#include <rte_common.h>

static struct sl_stream_chunk *chunk_at(const struct sl_worker *worker,
                                        const struct sl_stream *stream, uint32_t offset)
{
	uint32_t index = stream->chunk[offset / SL_STREAM_CHUNK];

	return index != 0 ? sl_pool_at(&worker->chunks, index) : NULL;
}

static struct sl_stream_chunk *chunk_make(struct sl_worker *worker, uint16_t vlan,
                                          struct sl_stream *stream, uint32_t offset)
{
	struct sl_stream_chunk *chunk = chunk_at(worker, stream, offset);
	uint32_t index;

	if (chunk != NULL)
		return chunk;
	if (!sl_held_take(worker, vlan, sizeof(*chunk)))
		return NULL;
	index = sl_pool_get(&worker->chunks);
	if (index == 0) {
		sl_held_give(worker, vlan, sizeof(*chunk));
		return NULL;
	}
	stream->chunk[offset / SL_STREAM_CHUNK] = index;
	chunk = sl_pool_at(&worker->chunks, index);
	memset(chunk->have, 0, sizeof(chunk->have));
	return chunk;
}

/* A mask of the bits [from, from + len) of one word; len 1..64. */
static uint64_t word_mask(unsigned from, unsigned len)
{
	return (len == 64 ? ~0ull : (1ull << len) - 1) << from;
}

/* Compares and writes up to 64 bytes whose bits lie in one word. */
static bool write_word(struct sl_stream_chunk *chunk, unsigned at, const uint8_t *bytes,
                       unsigned len, bool *fresh)
{
	uint64_t mask = word_mask(at % 64, len), have = chunk->have[at / 64] & mask;

	if (have == mask)
		return memcmp(chunk->bytes + at, bytes, len) == 0;
	if (have != 0)
		for (unsigned i = 0; i < len; i++)
			if ((have >> ((at + i) % 64) & 1) && chunk->bytes[at + i] != bytes[i])
				return false;
	memcpy(chunk->bytes + at, bytes, len);
	chunk->have[at / 64] |= mask;
	*fresh = true;
	return true;
}

static void advance(const struct sl_worker *worker, struct sl_stream *stream)
{
	while (stream->contiguous < stream->end) {
		const struct sl_stream_chunk *chunk = chunk_at(worker, stream, stream->contiguous);
		unsigned at = stream->contiguous % SL_STREAM_CHUNK;
		uint64_t missing;

		if (chunk == NULL)
			return;
		missing = ~chunk->have[at / 64] >> (at % 64);
		if (missing & 1)
			return;
		stream->contiguous +=
		        missing != 0 ? (unsigned)__builtin_ctzll(missing) : 64 - at % 64;
	}
}

enum sl_stream_result sl_stream_write(struct sl_worker *worker, uint16_t vlan,
                                      struct sl_stream *stream, uint32_t offset,
                                      const uint8_t *bytes, uint32_t len)
{
	bool fresh = false;

	if (offset > SL_STREAM_MAX || len > SL_STREAM_MAX - offset)
		return SL_STREAM_NO_ROOM;
	while (len > 0) {
		unsigned at = offset % SL_STREAM_CHUNK;
		unsigned piece = RTE_MIN(64 - at % 64, len);
		struct sl_stream_chunk *chunk = chunk_make(worker, vlan, stream, offset);

		if (chunk == NULL)
			return SL_STREAM_NO_ROOM;
		if (!write_word(chunk, at, bytes, piece, &fresh))
			return SL_STREAM_CONFLICT;
		offset += piece;
		bytes += piece;
		len -= piece;
		stream->end = RTE_MAX(stream->end, offset);
	}
	advance(worker, stream);
	return fresh ? SL_STREAM_NEW : SL_STREAM_DUPLICATE;
}

bool sl_stream_equal(const struct sl_worker *worker, const struct sl_stream *stream,
                     uint32_t offset, const uint8_t *bytes, uint32_t len)
{
	while (len > 0 && offset < stream->end) {
		const struct sl_stream_chunk *chunk = chunk_at(worker, stream, offset);
		unsigned at = offset % SL_STREAM_CHUNK;
		unsigned piece = RTE_MIN(64 - at % 64, len);

		if (chunk != NULL) {
			uint64_t have = chunk->have[at / 64];

			for (unsigned i = 0; i < piece; i++)
				if ((have >> ((at + i) % 64) & 1) &&
				    chunk->bytes[at + i] != bytes[i])
					return false;
		}
		offset += piece;
		bytes += piece;
		len -= piece;
	}
	return true;
}

uint32_t sl_stream_piece(const struct sl_worker *worker, const struct sl_stream *stream,
                         uint32_t offset, uint32_t len, const uint8_t **bytes)
{
	unsigned at = offset % SL_STREAM_CHUNK, n = 0;
	const struct sl_stream_chunk *chunk;

	if (offset >= stream->end || (chunk = chunk_at(worker, stream, offset)) == NULL)
		return 0;
	*bytes = chunk->bytes + at;
	len = RTE_MIN(len, SL_STREAM_CHUNK - at);
	while (n < len) {
		uint64_t missing = ~chunk->have[(at + n) / 64] >> ((at + n) % 64);

		if (missing & 1)
			break;
		n += missing != 0 ? (unsigned)__builtin_ctzll(missing) : 64 - (at + n) % 64;
	}
	return RTE_MIN(n, len);
}

uint32_t sl_stream_next(const struct sl_worker *worker, const struct sl_stream *stream,
                        uint32_t from)
{
	while (from < stream->end) {
		const struct sl_stream_chunk *chunk = chunk_at(worker, stream, from);
		unsigned at = from % SL_STREAM_CHUNK;
		uint64_t have;

		if (chunk == NULL) {
			from += SL_STREAM_CHUNK - at;
			continue;
		}
		have = chunk->have[at / 64] >> (at % 64);
		if (have != 0)
			return from + (unsigned)__builtin_ctzll(have);
		from += 64 - at % 64;
	}
	return stream->end;
}

void sl_stream_forget(struct sl_worker *worker, uint16_t vlan, struct sl_stream *stream,
                      uint32_t upto)
{
	unsigned chunks = stream->end <= upto
	                          ? (stream->end + SL_STREAM_CHUNK - 1) / SL_STREAM_CHUNK
	                          : upto / SL_STREAM_CHUNK;

	for (unsigned i = 0; i < chunks; i++)
		if (stream->chunk[i] != 0) {
			sl_pool_put(&worker->chunks, stream->chunk[i]);
			sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
			stream->chunk[i] = 0;
		}
}

void sl_stream_free(struct sl_worker *worker, uint16_t vlan, struct sl_stream *stream)
{
	unsigned chunks = (stream->end + SL_STREAM_CHUNK - 1) / SL_STREAM_CHUNK;

	/* A chunk may have been allocated for bytes that did not fit: free one more. */
	for (unsigned i = 0; i < RTE_MIN(chunks + 1, (unsigned)SL_STREAM_CHUNKS); i++)
		if (stream->chunk[i] != 0) {
			sl_pool_put(&worker->chunks, stream->chunk[i]);
			sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
		}
	memset(stream, 0, sizeof(*stream));
}
