/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_WINDOW_H
#define DECODERS_WINDOW_H

/* The window that a stream context in a slot takes: 8 MiB, enough for what `zstd -1` to `zstd -19` make. A slot of it
   is 8.5 MiB of addresses; pages that a smaller window does not reach are not touched while the slot is new. */
#define WINDOW_LOG 23

/* The largest window that is decoded at all: what `zstd -d` takes without being told otherwise. */
#define WINDOW_LOG_MOST 27

#endif
