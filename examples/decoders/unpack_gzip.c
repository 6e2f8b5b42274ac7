/* SPDX-License-Identifier: MIT */
/* .gz files: members one after the other, as gzip makes them of `cat a.gz b.gz`. */
#include "unpack.h"

#include <string.h>

#include "inflate_context.h"

/* One object is out for each file: the members of a file use it again, by inflateReset. */
struct decoder {
    z_stream *stream;
    struct inflater *object;
    z_stream own; /* without a pool */
};

int memory_open_gzip(struct memory *memory, unsigned threads)
{
    return inflater_pool_create(&memory->inflater, &(struct opool_options){.capacity = threads});
}

void memory_close_gzip(struct memory *memory)
{
    inflater_pool_destroy(&memory->inflater);
}

void memory_print_gzip(const struct memory *memory, FILE *out)
{
    pool_print(inflater_pool_base(memory->inflater), out);
}

static bool get(const struct memory *memory, struct decoder *decoder)
{
    if (memory->pooled) {
        decoder->object = inflater_pool_get(memory->inflater);
        decoder->stream = decoder->object ? &decoder->object->stream : NULL;
        return decoder->object != NULL;
    }
    decoder->stream = &decoder->own;
    errno = ENOMEM;
    return inflateInit2(&decoder->own, 15 + 16) == Z_OK;
}

static bool give_back(const struct memory *memory, struct decoder *decoder, bool whole)
{
    if (!memory->pooled)
        inflateEnd(&decoder->own);
    else if (whole)
        inflater_pool_put(memory->inflater, decoder->object);
    else
        inflater_pool_discard(memory->inflater, decoder->object);
    return whole;
}

static bool explain(struct flow *flow, const z_stream *stream, int result)
{
    if (result == Z_BUF_ERROR)
        return flow_fail(flow, "unexpected end of file");
    if (result == Z_MEM_ERROR)
        return flow_fail(flow, "no memory to inflate");
    return flow_fail(flow, "damaged: %s", stream->msg ? stream->msg : zError(result));
}

/* inflate itself checks the length and the checksum behind the data. */
static bool inflate_member(z_stream *stream, struct flow *flow)
{
    struct buffers *buffers = flow->buffers;
    int result;
    do {
        if (flow_left(flow) == 0 && !flow_fill(flow))
            return false;
        stream->next_in = buffers->in + flow->at;
        stream->avail_in = (uInt)flow_left(flow);
        stream->next_out = buffers->out;
        stream->avail_out = sizeof buffers->out;
        result = inflate(stream, Z_NO_FLUSH);
        flow->at = flow->end - stream->avail_in;
        if (!flow_write(flow, buffers->out, sizeof buffers->out - stream->avail_out))
            return false;
    } while (result == Z_OK);
    return result == Z_STREAM_END || explain(flow, stream, result);
}

static bool at_member(const struct flow *flow)
{
    const unsigned char *next = flow->buffers->in + flow->at;
    return flow_left(flow) >= 2 && next[0] == 0x1f && next[1] == 0x8b;
}

/* As gzip does: zeros up to the end are padding of a tape, anything else is told, and ignored. */
static bool skip_rest(struct flow *flow)
{
    do {
        for (; flow_left(flow) > 0; flow->at++) {
            if (flow->buffers->in[flow->at] != 0) {
                snprintf(flow->warning, sizeof flow->warning, "unpacked; garbage behind the last member was ignored");
                return true;
            }
        }
        if (!flow_fill(flow))
            return false;
    } while (flow_left(flow) > 0);
    return true;
}

static bool inflate_members(z_stream *stream, struct flow *flow)
{
    for (;;) {
        if (!inflate_member(stream, flow))
            return false;
        if (flow_left(flow) < 2 && !flow_fill(flow))
            return false;
        if (flow_left(flow) == 1 && flow->buffers->in[flow->at] != 0) /* half of a magic number, to gzip */
            return flow_fail(flow, "unexpected end of file");
        if (!at_member(flow))
            return skip_rest(flow);
        if (inflateReset(stream) != Z_OK)
            return flow_fail(flow, "no decoder for the next member");
    }
}

bool unpack_gzip(const struct memory *memory, struct flow *flow)
{
    struct decoder decoder = {0};
    if (!flow_fill(flow))
        return false;
    if (flow_left(flow) < 2)
        return flow_fail(flow, "unexpected end of file");
    if (!at_member(flow))
        return flow_fail(flow, "not in gzip format");
    if (!get(memory, &decoder))
        return flow_fail(flow, "no decoder: %s", strerror(errno));
    return give_back(memory, &decoder, inflate_members(decoder.stream, flow));
}
