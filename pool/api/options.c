/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "api/pool.h"
#include "os/report.h"

#ifdef OPOOL_NO_CHECKS

enum opool_checks opool__checks_default(void)
{
    return OPOOL_CHECKS_OFF;
}

#else

static const struct {
    const char *word;
    enum opool_checks checks;
} words[] = {{"off", OPOOL_CHECKS_OFF}, {"basic", OPOOL_CHECKS_BASIC}, {"full", OPOOL_CHECKS_FULL}};

static enum opool_checks from_environment(void)
{
    const char *text = getenv("OPOOL_CHECKS");
    if (!text || !*text)
        return OPOOL_CHECKS_BASIC;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i].word) == 0)
            return words[i].checks;
    opool__say("OPOOL_CHECKS=%.40s is none of off, basic, full: ignored, basic it is", text);
    return OPOOL_CHECKS_BASIC;
}

enum opool_checks opool__checks_default(void)
{
    static uint32_t shared_answer;
    uint32_t answer = opool__load_relaxed(&shared_answer);
    if (!answer) {
        answer = from_environment();
        opool__store_relaxed(&shared_answer, answer);
    }
    return (enum opool_checks)answer;
}

#endif
