/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#define ZSTD_STATIC_LINKING_ONLY
#include "frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

enum { LEVEL = 3 }; /* of the zstd command, too */

static bool fail(const char *path, const char *why)
{
    fprintf(stderr, "decode: %s: %s\n", path, why);
    return false;
}

static bool read_all(FILE *file, const char *path, unsigned char **bytes, size_t *size)
{
    struct stat status;
    if (fstat(fileno(file), &status) != 0)
        return fail(path, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size <= 0)
        return fail(path, "not a file with something in it");
    *size = (size_t)status.st_size;
    *bytes = malloc(*size);
    if (!*bytes)
        return fail(path, "out of memory");
    if (fread(*bytes, 1, *size, file) == *size)
        return true;
    free(*bytes);
    return fail(path, "can not be read in full");
}

bool file_read(const char *path, unsigned char **bytes, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return fail(path, strerror(errno));
    bool ok = read_all(file, path, bytes, size);
    fclose(file);
    return ok;
}

static bool pack_one(FILE *out, const char *path, const unsigned char *content, size_t size)
{
    size_t room = ZSTD_compressBound(size);
    unsigned char *packed = malloc(room);
    if (!packed)
        return fail(path, "out of memory");
    size_t packed_size = ZSTD_compress(packed, room, content, size, LEVEL);
    bool ok = true;
    if (ZSTD_isError(packed_size))
        ok = fail(path, ZSTD_getErrorName(packed_size));
    else if (fwrite(packed, 1, packed_size, out) != packed_size)
        ok = fail(path, strerror(errno));
    free(packed);
    return ok;
}

bool frames_pack(const char *content_path, const char *path, size_t frame_bytes)
{
    unsigned char *content;
    size_t size;
    if (!file_read(content_path, &content, &size))
        return false;
    FILE *out = fopen(path, "wb");
    bool ok = out || fail(path, strerror(errno));
    for (size_t at = 0; ok && at < size; at += frame_bytes)
        ok = pack_one(out, path, content + at, size - at < frame_bytes ? size - at : frame_bytes);
    if (out && fclose(out) != 0 && ok)
        ok = fail(path, strerror(errno));
    free(content);
    return ok;
}

/* The next frame of the file; what the frame's header says is checked before anything relies on it. */
static bool parse_one(struct frames *frames, const char *path, size_t at)
{
    struct frame frame = {.data = frames->file + at, .content_offset = frames->content_size};
    frame.size = ZSTD_findFrameCompressedSize(frame.data, frames->file_size - at);
    if (ZSTD_isError(frame.size))
        return fail(path, "not a whole number of zstd frames");
    unsigned long long content = ZSTD_getFrameContentSize(frame.data, frame.size);
    if (content == 0 || content > frames->frame_bytes) /* also the two error values */
        return fail(path, "a frame that does not say that it holds what it should");
    frame.content_size = (size_t)content;
    frames->content_size += frame.content_size;
    frames->list[frames->count++] = frame;
    return true;
}

static size_t count_frames(const struct frames *frames)
{
    size_t count = 0;
    for (size_t at = 0; at < frames->file_size; count++) {
        size_t size = ZSTD_findFrameCompressedSize(frames->file + at, frames->file_size - at);
        if (ZSTD_isError(size) || size == 0)
            return count + 1; /* parse_one says what is wrong with it */
        at += size;
    }
    return count;
}

static bool parse(struct frames *frames, const char *path, size_t content_size)
{
    frames->list = calloc(count_frames(frames), sizeof *frames->list);
    if (!frames->list)
        return fail(path, "out of memory");
    for (size_t at = 0; at < frames->file_size; at += frames->list[frames->count - 1].size) {
        if (!parse_one(frames, path, at))
            return false;
    }
    if (frames->content_size != content_size)
        return fail(path, "does not hold as much as the original");
    return true;
}

bool frames_load(struct frames *frames, const char *path, size_t frame_bytes, size_t content_size)
{
    *frames = (struct frames){.frame_bytes = frame_bytes};
    if (!file_read(path, &frames->file, &frames->file_size))
        return false;
    if (parse(frames, path, content_size))
        return true;
    frames_free(frames);
    return false;
}

void frames_free(struct frames *frames)
{
    free(frames->list);
    free(frames->file);
    *frames = (struct frames){0};
}
