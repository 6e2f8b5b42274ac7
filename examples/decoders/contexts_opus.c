/* SPDX-License-Identifier: MIT */
#include "contexts.h"

#include <string.h>

#include "opus_context.h"

enum { FRAME = OPUS_RATE / 50, SAMPLES = FRAME * OPUS_CHANNELS, PACKETS = 50, PACKET_MOST = 1500 };

struct talk {
    unsigned char packets[PACKETS][PACKET_MOST];
    opus_int32 lengths[PACKETS];
};

typedef opus_int16 sound[PACKETS][SAMPLES];

/* application and bitrate choose what is inside Opus: SILK for speech, CELT for music, or both. */
static void encode(struct talk *talk, int application, int bitrate, unsigned seed)
{
    static unsigned char bytes[PACKETS * SAMPLES * 2];
    opus_int16 frame[SAMPLES];
    int error;
    OpusEncoder *encoder = opus_encoder_create(OPUS_RATE, OPUS_CHANNELS, application, &error);
    claim(encoder && opus_encoder_ctl(encoder, OPUS_SET_BITRATE(bitrate)) == OPUS_OK, "encoder");
    fill(bytes, sizeof bytes, seed);
    for (int i = 0; encoder && i < PACKETS; i++) {
        memcpy(frame, bytes + (size_t)i * sizeof frame, sizeof frame);
        talk->lengths[i] = opus_encode(encoder, frame, FRAME, talk->packets[i], PACKET_MOST);
    }
    if (encoder)
        opus_encoder_destroy(encoder);
}

/* Every seventh packet is lost on the way: what a decoder makes up for it depends on all that it heard. */
static bool decode(OpusDecoder *decoder, const struct talk *talk, sound samples)
{
    bool ok = true;
    for (int i = 0; i < PACKETS; i++) {
        const unsigned char *packet = i % 7 == 6 ? NULL : talk->packets[i];
        ok = opus_decode(decoder, packet, packet ? talk->lengths[i] : 0, samples[i], FRAME, 0) == FRAME && ok;
    }
    return ok;
}

static void decode_fresh(const struct talk *talk, sound samples)
{
    int error;
    OpusDecoder *decoder = opus_decoder_create(OPUS_RATE, OPUS_CHANNELS, &error);
    claim(decoder && decode(decoder, talk, samples), "fresh decoder");
    if (decoder)
        opus_decoder_destroy(decoder);
}

static const struct {
    int application, bitrate;
} kinds[] = {{OPUS_APPLICATION_VOIP, 12000},
             {OPUS_APPLICATION_VOIP, 32000},
             {OPUS_APPLICATION_AUDIO, 128000},
             {OPUS_APPLICATION_RESTRICTED_LOWDELAY, 64000}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct talk talks[KINDS];
static sound expected[KINDS], heard;

/* Each kind after each other one, in one context. */
static void check_after_each(struct opus_pool *pool)
{
    for (size_t pair = 0; pair < (size_t)KINDS * KINDS; pair++) {
        for (size_t part = 0; part < 2; part++) {
            size_t kind = part ? pair / KINDS : pair % KINDS;
            struct opus_slot *slot = opus_pool_get(pool);
            claim(slot && decode(opus_slot_decoder(slot), &talks[kind], heard), "kept decoder");
            claim(memcmp(heard, expected[kind], sizeof heard) == 0, "bit-identical to a fresh decoder");
            opus_pool_put(pool, slot);
        }
    }
    struct opool_stats stats = {0};
    claim(opool_stats_read(opus_pool_base(pool), &stats) == 0 && stats.built == 1, "all in one decoder");
}

/* Without the reset it would not be: the comparison sees what one talk leaves to the next. */
static void check_without_reset(struct opus_pool *pool)
{
    struct opus_slot *slot = opus_pool_get(pool);
    claim(slot && decode(opus_slot_decoder(slot), &talks[0], heard), "first talk");
    claim(slot && decode(opus_slot_decoder(slot), &talks[2], heard), "second talk without reset");
    claim(memcmp(heard, expected[2], sizeof heard) != 0, "a decoder that is not reset gives something else");
    opus_pool_discard(pool, slot);
}

/* Garbage is refused, or decoded to noise; a put all the same gives the next user a decoder as new. */
static void check_garbage(struct opus_pool *pool)
{
    struct opus_slot *slot = opus_pool_get(pool);
    unsigned char garbage[200];
    opus_int16 samples[FRAME * 6 * OPUS_CHANNELS];
    for (unsigned seed = 0; slot && seed < 200; seed++) {
        fill(garbage, sizeof garbage, seed * 77);
        claim(opus_decode(opus_slot_decoder(slot), garbage, (opus_int32)(seed % sizeof garbage), samples, FRAME * 6,
                          0) <= FRAME * 6,
              "garbage");
    }
    opus_pool_put(pool, slot);
    slot = opus_pool_get(pool);
    claim(slot && decode(opus_slot_decoder(slot), &talks[1], heard) && memcmp(heard, expected[1], sizeof heard) == 0,
          "bit-identical after garbage too");
    opus_pool_put(pool, slot);
}

void check_opus(void)
{
    struct opus_pool *pool;
    claim(opus_pool_create(&pool, NULL) == 0, "pool");
    for (unsigned kind = 0; kind < KINDS; kind++) {
        encode(&talks[kind], kinds[kind].application, kinds[kind].bitrate, kind + 5);
        decode_fresh(&talks[kind], expected[kind]);
    }
    check_after_each(pool);
    check_without_reset(pool);
    check_garbage(pool);
    opus_pool_destroy(&pool);
}
