/* SPDX-License-Identifier: MIT */
/* Run by the build: bytes of a decoder context of the installed libzstd, rounded up, for the slot's type. */
#define ZSTD_STATIC_LINKING_ONLY
#include <stdio.h>
#include <zstd.h>

int main(void)
{
    size_t bytes = ZSTD_estimateDCtxSize();
    printf("%zu\n", (bytes + 4095) / 4096 * 4096);
    return 0;
}
