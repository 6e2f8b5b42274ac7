/* SPDX-License-Identifier: MIT */
#include "os/text.h"

#include <string.h>

void opool__text_add(struct opool__text *text, const char *string, size_t length)
{
    for (size_t i = 0; i < length && text->length < text->room; i++)
        text->at[text->length++] = string[i];
}

void opool__text_string(struct opool__text *text, const char *string)
{
    for (string = string ? string : "?"; *string; string++)
        opool__text_add(text, string, 1);
}

static void add_in_base(struct opool__text *text, uint64_t number, unsigned base, unsigned least_digits)
{
    char digits[24];
    size_t first = sizeof digits;
    do {
        digits[--first] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0 || sizeof digits - first < least_digits);
    opool__text_add(text, digits + first, sizeof digits - first);
}

void opool__text_number(struct opool__text *text, uint64_t number)
{
    add_in_base(text, number, 10, 1);
}

void opool__text_hex(struct opool__text *text, uint64_t number)
{
    opool__text_string(text, "0x");
    add_in_base(text, number, 16, 1);
}

void opool__text_bytes(struct opool__text *text, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            opool__text_string(text, " ");
        add_in_base(text, ((const unsigned char *)bytes)[i], 16, 2);
    }
}

char *opool__text_trim(char *string)
{
    static const char blanks[] = " \t\r";
    size_t length = strlen(string);
    while (length > 0 && strchr(blanks, string[length - 1]))
        string[--length] = 0;
    return string + strspn(string, blanks);
}
