/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_TEXT_H
#define OPOOL_OS_TEXT_H

/*
 * Text in memory of the caller, put together without libc's help: for messages that a signal handler may have to write.
 * What does not fit is left out.
 */

#include <stddef.h>
#include <stdint.h>

struct opool__text {
    char *at;
    size_t room, length; /* bytes; no terminator is written */
};

void opool__text_add(struct opool__text *text, const char *string, size_t length);
void opool__text_string(struct opool__text *text, const char *string); /* NULL: "?" */
void opool__text_number(struct opool__text *text, uint64_t number);
void opool__text_hex(struct opool__text *text, uint64_t number);                   /* 0x7f00 */
void opool__text_bytes(struct opool__text *text, const void *bytes, size_t count); /* 0a ff */

/* Without blanks at both ends: where it begins then. A string, which is cut. */
char *opool__text_trim(char *string);

#endif
