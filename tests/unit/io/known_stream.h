/*
 * known_stream.h - a stream whose octets are known by their place, for tests of connections.
 */
#pragma once

#include "io/conn.h"
#include "support/unit.h"

/* What is still to be written of it, and was. */
struct known_stream {
    size_t to_write, written;
};

static inline uint8_t known_octet(size_t at)
{
    return (uint8_t)(at * 131 + at / 251);
}

/* Writes what fits; behind the last of it the connection is finished. */
static inline void known_stream_write(struct known_stream *stream, struct conn *conn)
{
    while (stream->to_write > 0) {
        uint8_t chunk[1500];
        size_t len = MIN(MIN(stream->to_write, sizeof(chunk)), conn_output_room(conn));

        if (len == 0)
            return;
        for (size_t i = 0; i < len; i++)
            chunk[i] = known_octet(stream->written + i);
        /* Every other time as a buffer, which may become the connection's. */
        struct bytes bytes = {chunk, len};

        if (stream->written / sizeof(chunk) % 2 == 0) {
            assert_true(conn_write(conn, bytes));
        } else {
            struct buf buf;

            buf_init(&buf, len);
            assert_true(buf_append(&buf, bytes));
            assert_true(conn_write_buf(conn, &buf));
            assert_null(buf.ptr);
        }
        stream->written += len;
        stream->to_write -= len;
    }
    conn_finish(conn);
}
