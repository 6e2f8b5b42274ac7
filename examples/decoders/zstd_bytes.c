/* SPDX-License-Identifier: MIT */
/* Run by the build: bytes of the two static contexts of the installed libzstd, rounded up, as compiler arguments. */
#define ZSTD_STATIC_LINKING_ONLY
#include <stdio.h>
#include <zstd.h>

#include "window.h"

static size_t round_up(size_t bytes)
{
    return (bytes + 4095) / 4096 * 4096;
}

int main(void)
{
    printf("-DZSTD_ONE_SHOT_BYTES=%zu -DZSTD_STREAM_BYTES=%zu\n", round_up(ZSTD_estimateDCtxSize()),
           round_up(ZSTD_estimateDStreamSize((size_t)1 << WINDOW_LOG)));
    return 0;
}
