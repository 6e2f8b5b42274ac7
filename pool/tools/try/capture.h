/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_CAPTURE_H
#define OPOOL_TOOLS_TRY_CAPTURE_H

/* Standard output of a command, to compare it with that of another run without keeping it. */

#include <stdbool.h>
#include <stdint.h>

struct opool__capture {
    uint64_t bytes, hash; /* valid after capture_end */
    int error;            /* errno value: what was to be passed on could not be written */
    int from, to, saved;
    bool pass;
    uintptr_t thread;
};

/* What is started from now on writes its standard output to us. 0, or an errno value. */
int opool__capture_open(struct opool__capture *capture);

/* It is started: our standard output is what it was, and gets what is captured, if `pass`. 0, or an errno value. */
int opool__capture_begin(struct opool__capture *capture, bool pass);

/* Until the last process that may write there has ended; `now`: not so long, since nobody waits for it. */
void opool__capture_end(struct opool__capture *capture, bool now);

#endif
