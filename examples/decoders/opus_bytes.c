/* SPDX-License-Identifier: MIT */
/* Run by the build: bytes of a stereo decoder of the installed libopus, rounded up. */
#include <opus.h>
#include <stdio.h>

int main(void)
{
    printf("-DOPUS_BYTES=%d\n", (opus_decoder_get_size(2) + 1023) / 1024 * 1024);
    return 0;
}
