/* SPDX-License-Identifier: MIT */
#include "os/random.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "opool/atomic.h"
#include "os/os.h"
#include "os/state.h"

/* Splitmix64's finalizer: of neighbours it makes numbers that have nothing in common. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* What the kernel gave the process at its start. libc's stack protector has the same bytes: only what is mixed leaves
   here. */
static uint64_t given_at_start(void)
{
    uint64_t words[2] = {0, 0};
    const void *at = (const void *)getauxval(AT_RANDOM); /* NULL where there is none */
    if (at)
        memcpy(words, at, sizeof words);
    return mix(words[0]) ^ mix(words[1] + opool__os.now());
}

static uint64_t first_key(void)
{
    uint64_t key;
    int saved = errno;
    /* Early at boot, and under seccomp, there may be nothing to be had without waiting. */
    bool got = getrandom(&key, sizeof key, GRND_NONBLOCK) == (ssize_t)sizeof key;
    errno = saved;
    key = got ? key : given_at_start();
    return key ? key : 1;
}

/* Seeds are the mixed members of a sequence that starts at the key; the key itself leaves nowhere. */
uint64_t opool__os_seed(void)
{
    static OPOOL__STATE uint64_t shared_next;
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15); /* the golden ratio: odd */
    uint64_t none = 0;
    if (opool__load_relaxed(&shared_next) == 0) {
        uint64_t key = first_key();
        (void)opool__cas_relaxed(&shared_next, &none, key);
    }
    uint64_t seed = mix(opool__add_relaxed(&shared_next, step));
    return seed ? seed : 1;
}
