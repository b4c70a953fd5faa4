/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h: a gateway's copy of the first bytes of a byte stream (TCP, or QUIC's CRYPTO),
 * reassembled from pieces in any order. Bytes that were written cannot be changed: this guarantees
 * that the judged bytes are the bytes that leave.
 *
 * The memory is chunks from a pool, counted against the sandbox's `held-bytes`. A chunk holds
 * bytes, and for each a bit that tells whether it was received.
 */
#ifndef DATAPLANE_STREAM_H
#define DATAPLANE_STREAM_H

#include "core/state.h"

#define SL_STREAM_CHUNKS 64 /* so at most 64 KiB of one stream */
#define SL_STREAM_MAX    (SL_STREAM_CHUNKS * SL_STREAM_CHUNK)

struct sl_stream_chunk {
	uint64_t have[SL_STREAM_CHUNK / 64];
	uint8_t bytes[SL_STREAM_CHUNK];
};

/* Zeroed is the valid empty state. */
struct sl_stream {
	uint32_t contiguous; /* bytes from the start without a gap */
	uint32_t end;        /* the offset after the last byte that is there */
	uint32_t chunk[SL_STREAM_CHUNKS];
};

enum sl_stream_result {
	SL_STREAM_CONFLICT = 0, /* a byte differs from the copy; nothing was written after it */
	SL_STREAM_NO_ROOM,   /* a limit of memory, or beyond SL_STREAM_MAX; parts may be written */
	SL_STREAM_DUPLICATE, /* nothing new, all bytes equal the copy */
	SL_STREAM_NEW,       /* new bytes were written */
};

/* Writes a piece, comparing where the copy has bytes already. */
enum sl_stream_result sl_stream_write(struct sl_worker *worker, uint16_t vlan,
                                      struct sl_stream *stream, uint32_t offset,
                                      const uint8_t *bytes, uint32_t len);

/* True unless a byte of the piece differs from one that the copy has. Bytes it lacks do not count.
 */
bool sl_stream_equal(const struct sl_worker *worker, const struct sl_stream *stream,
                     uint32_t offset, const uint8_t *bytes, uint32_t len);

/*
 * The bytes from offset on that lie together in memory and are there, at most len: how many, and
 * where. 0 at the first byte that is missing.
 */
uint32_t sl_stream_piece(const struct sl_worker *worker, const struct sl_stream *stream,
                         uint32_t offset, uint32_t len, const uint8_t **bytes);

/* The first offset >= from whose byte is there; stream->end if there is none. */
uint32_t sl_stream_next(const struct sl_worker *worker, const struct sl_stream *stream,
                        uint32_t from);

/*
 * Frees the memory of the bytes before upto, which are no longer needed. They count as bytes that
 * the copy lacks; later bytes are not touched.
 */
void sl_stream_forget(struct sl_worker *worker, uint16_t vlan, struct sl_stream *stream,
                      uint32_t upto);

/* Frees all chunks; the stream is empty again. */
void sl_stream_free(struct sl_worker *worker, uint16_t vlan, struct sl_stream *stream);

#endif
