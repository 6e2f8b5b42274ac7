/* SPDX-License-Identifier: MIT */
#ifndef MAIN_FRAMES_H
#define MAIN_FRAMES_H

#include <stdbool.h>
#include <stddef.h>

/* One compressed frame, and the content that it must decode to. */
struct frame {
    const unsigned char *data;
    size_t size;
    size_t content_offset;
    size_t content_size;
};

/* A .zst file of independent frames, and what they were made from. */
struct frames {
    unsigned char *file;
    size_t file_size;
    struct frame *list;
    size_t count;
    size_t content_size;
    size_t frame_bytes; /* content of a whole frame; the last one, and so the only one, may be shorter */
};

/* All false results: a line on standard error has said why. */

/* The whole file, to be freed by the caller. */
bool file_read(const char *path, unsigned char **bytes, size_t *size);

/* Compress the content into frames of frame_bytes of content each; an ordinary .zst file, `zstd -d` reads it too. */
bool frames_pack(const char *content_path, const char *path, size_t frame_bytes);

/* Load what frames_pack made with the same frame_bytes from content_size bytes. */
bool frames_load(struct frames *frames, const char *path, size_t frame_bytes, size_t content_size);
void frames_free(struct frames *frames);

#endif
