/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../clean.h"
#include "report.h"

const char *opool__shapes_clean(struct memory *memory, const char *text)
{
    size_t size = strlen(text) + 1;
    return opool__clean(memcpy(opool__shapes_take(memory, size), text, size));
}
