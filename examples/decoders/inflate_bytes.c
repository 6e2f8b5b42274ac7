/* SPDX-License-Identifier: MIT */
/* Run by the build: bytes that the installed zlib asks for to inflate a stream with the largest window. Measured, for
   zlib has no call that tells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static size_t asked;

static voidpf count(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    asked += ((size_t)items * size + 63) / 64 * 64;
    return calloc(items, size);
}

static void drop(voidpf opaque, voidpf bytes)
{
    (void)opaque;
    free(bytes);
}

int main(void)
{
    static unsigned char content[300 << 10], packed[400 << 10], output[1000];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * i >> 7);
    z_stream deflater = {
        .next_in = content, .avail_in = sizeof content, .next_out = packed, .avail_out = sizeof packed};
    if (deflateInit2(&deflater, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&deflater, Z_FINISH) != Z_STREAM_END)
        return 1;
    /* Output in small pieces: a stream that ends in one call needs no window of its own. */
    z_stream inflater = {.zalloc = count, .zfree = drop, .next_in = packed, .avail_in = (uInt)deflater.total_out};
    int result = inflateInit2(&inflater, 15 + 16);
    while (result == Z_OK) {
        inflater.next_out = output;
        inflater.avail_out = sizeof output;
        result = inflate(&inflater, Z_NO_FLUSH);
    }
    inflateEnd(&inflater);
    deflateEnd(&deflater);
    printf("-DINFLATE_BYTES=%zu\n", (asked + 1023) / 1024 * 1024);
    return result == Z_STREAM_END ? 0 : 1;
}
