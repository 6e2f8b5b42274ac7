/* SPDX-License-Identifier: MIT */
/* Opus: the content is taken as samples, encoded into talks of ten packets, 20 ms each. A talk is decoded with a
   decoder of its own, as an answering machine or a mixer with many callers does. */
#include "formats.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "opus_context.h"

enum { FRAME = OPUS_RATE / 50, PACKETS = 10, PACKET_MOST = 1500 };
enum { FRAME_BYTES = FRAME * OPUS_CHANNELS * 2, TALK_BYTES = FRAME_BYTES * PACKETS };

static struct opus_pool *decoders;

static int opus_open(void)
{
    return opus_pool_create(&decoders, NULL);
}

static void opus_close(void)
{
    opus_pool_destroy(&decoders);
}

static struct opool *opus_base(void)
{
    return opus_pool_base(decoders);
}

/* Each packet has its length before it, two bytes. */
static bool decode_talk(OpusDecoder *decoder, const struct item *item, unsigned char *output)
{
    static _Thread_local opus_int16 samples[FRAME * OPUS_CHANNELS];
    size_t at = 0, done = 0;
    while (at + 2 <= item->packed_size) {
        size_t length = (size_t)item->packed[at] << 8 | item->packed[at + 1];
        at += 2;
        if (length > item->packed_size - at || done == item->size)
            return false;
        if (opus_decode(decoder, item->packed + at, (opus_int32)length, samples, FRAME, 0) != FRAME)
            return false;
        memcpy(output + done, samples, FRAME_BYTES);
        at += length;
        done += FRAME_BYTES;
    }
    return done == item->size;
}

static bool opus_pooled(const struct item *item, unsigned char *output)
{
    struct opus_slot *slot = opus_pool_get(decoders);
    if (!slot)
        return false;
    bool ok = decode_talk(opus_slot_decoder(slot), item, output);
    if (ok)
        opus_pool_put(decoders, slot);
    else
        opus_pool_discard(decoders, slot);
    return ok;
}

static bool opus_created(const struct item *item, unsigned char *output)
{
    int error;
    OpusDecoder *decoder = opus_decoder_create(OPUS_RATE, OPUS_CHANNELS, &error);
    bool ok = decoder && decode_talk(decoder, item, output);
    if (decoder)
        opus_decoder_destroy(decoder);
    return ok;
}

static bool encode_packet(OpusEncoder *encoder, struct item *item, const unsigned char *samples)
{
    opus_int16 frame[FRAME * OPUS_CHANNELS];
    memcpy(frame, samples, FRAME_BYTES);
    unsigned char *to = item->packed + item->packed_size;
    opus_int32 length = opus_encode(encoder, frame, FRAME, to + 2, PACKET_MOST);
    if (length <= 0)
        return false;
    to[0] = (unsigned char)(length >> 8);
    to[1] = (unsigned char)length;
    item->packed_size += (size_t)length + 2;
    return true;
}

/* What must come out is what a fresh decoder gives. */
static bool encode_talks(struct set *set, OpusEncoder *encoder, const unsigned char *content)
{
    for (size_t i = 0; i < set->count; i++) {
        struct item *item = &set->items[i];
        item->packed = set->packed + i * PACKETS * (PACKET_MOST + 2);
        item->offset = i * TALK_BYTES;
        item->size = TALK_BYTES;
        for (size_t packet = 0; packet < PACKETS; packet++) {
            if (!encode_packet(encoder, item, content + item->offset + packet * FRAME_BYTES))
                return false;
        }
        if (!opus_created(item, set->expected + item->offset))
            return false;
    }
    return true;
}

static bool opus_make(struct set *set, const unsigned char *content, size_t size)
{
    size_t count = size / TALK_BYTES < 40 ? size / TALK_BYTES : 40;
    int error;
    if (count == 0 || !set_allocate(set, count, PACKETS * (PACKET_MOST + 2), count * TALK_BYTES))
        return false;
    OpusEncoder *encoder = opus_encoder_create(OPUS_RATE, OPUS_CHANNELS, OPUS_APPLICATION_AUDIO, &error);
    bool ok = encoder && encode_talks(set, encoder, content);
    if (encoder)
        opus_encoder_destroy(encoder);
    return ok;
}

const struct format opus_format = {
    "opus", "talk of 10 packets", opus_make, opus_open, opus_pooled, opus_created, opus_base, opus_close,
};
