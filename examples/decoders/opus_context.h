/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_OPUS_CONTEXT_H
#define DECODERS_OPUS_CONTEXT_H

/*
 * A pool of Opus decoders. opus_decoder_init builds one in memory of the caller and it allocates nothing: of fixed
 * shape. OPUS_BYTES comes from the build, which asked libopus for the size of a stereo decoder.
 */
#include <errno.h>
#include <opool.h>
#include <opus.h>

#define OPUS_RATE 48000
#define OPUS_CHANNELS 2

struct opus_slot {
    _Alignas(16) unsigned char state[OPUS_BYTES];
};

static inline OpusDecoder *opus_slot_decoder(struct opus_slot *slot)
{
    return (OpusDecoder *)(void *)slot->state;
}

static inline int opus_slot_init(struct opus_slot *slot, void *arg)
{
    (void)arg;
    if (opus_decoder_get_size(OPUS_CHANNELS) > (int)sizeof slot->state)
        return ENOTSUP; /* another libopus than the one that was built with */
    return opus_decoder_init(opus_slot_decoder(slot), OPUS_RATE, OPUS_CHANNELS) == OPUS_OK ? 0 : ENOTSUP;
}

/* After it the decoder is as a new one: what it has heard does not sound in what the next user decodes. */
static inline bool opus_slot_reset(struct opus_slot *slot, void *arg)
{
    (void)arg;
    return opus_decoder_ctl(opus_slot_decoder(slot), OPUS_RESET_STATE) == OPUS_OK;
}

OPOOL_DEFINE(opus_pool, struct opus_slot, .init = opus_slot_init, .reset = opus_slot_reset,
             .kept = OPOOL_MEMBERS(state));

#endif
