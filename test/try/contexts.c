/* SPDX-License-Identifier: MIT */

/* What a program may do with contexts of libzstd, for `opool try --context zstd`: prints a digest of all that came out,
   which must be the same without. Usage: contexts CASE. */
#define ZSTD_STATIC_LINKING_ONLY
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

enum { TEXT = 200000, ROUNDS = 40, THREADS = 4 };

static unsigned char text[TEXT], packed[2 * TEXT], unpacked[TEXT];
static uint64_t digest = UINT64_C(0xcbf29ce484222325);

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "contexts: %s\n", what);
    abort();
}

static void note(const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

static void make_text(void)
{
    unsigned random = 1;
    for (size_t i = 0; i < TEXT; i++) {
        random = random * 1103515245u + 12345u;
        text[i] = (unsigned char)("etaoin shrdlu\n"[random >> 16 & 15] + (random >> 28 == 0));
    }
}

static size_t size_of(unsigned round)
{
    return 100 + round * 4711 % (TEXT - 100);
}

/* ---- one after the other, each with parameters that the next one must not inherit ---- */

static size_t pack(unsigned round, size_t size)
{
    ZSTD_CCtx *context = round % 2 ? ZSTD_createCCtx() : ZSTD_createCStream();
    expect(context != NULL, "no encoder");
    if (round % 3 == 0)
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, (int)(round % 7));
    if (round % 5 == 0)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (round % 6 == 0)
        ZSTD_CCtx_loadDictionary(context, text, 5000);
    if (round % 11 == 0)
        ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, 1);
    size_t n = ZSTD_compress2(context, packed, sizeof packed, text, size);
    expect(!ZSTD_isError(n), "compress");
    expect((round % 2 ? ZSTD_freeCCtx(context) : ZSTD_freeCStream(context)) == 0, "an encoder is not freed");
    return n;
}

static void unpack(unsigned round, size_t packed_size, size_t size)
{
    ZSTD_DCtx *context = round % 2 ? ZSTD_createDStream() : ZSTD_createDCtx();
    expect(context != NULL, "no decoder");
    if (round % 4 == 0)
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 24);
    if (round % 6 == 0)
        ZSTD_DCtx_loadDictionary(context, text, 5000);
    ZSTD_inBuffer from = {packed, packed_size, 0};
    ZSTD_outBuffer to = {unpacked, sizeof unpacked, 0};
    while (from.pos < from.size)
        expect(!ZSTD_isError(ZSTD_decompressStream(context, &to, &from)), "decompress");
    expect(to.pos == size && memcmp(unpacked, text, size) == 0, "another text");
    expect((round % 2 ? ZSTD_freeDStream(context) : ZSTD_freeDCtx(context)) == 0, "a decoder is not freed");
}

static void run_serial(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t size = size_of(round), n = pack(round, size);
        note(packed, n);
        unpack(round, n, size);
    }
    expect(ZSTD_freeDCtx(NULL) == 0 && ZSTD_freeCCtx(NULL) == 0, "NULL is not freed");
}

/* ---- what ends in the middle, or is damaged ---- */

static void run_damaged(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t size = size_of(round), n = pack(2 * round + 1, size);
        ZSTD_DCtx *context = ZSTD_createDCtx();
        if (round % 6 == 1)
            ZSTD_DCtx_loadDictionary(context, text, 5000);
        unsigned char damaged = packed[n / 2];
        packed[n / 2] ^= 0x40;
        ZSTD_inBuffer from = {packed, n - n / 4, 0};
        ZSTD_outBuffer to = {unpacked, sizeof unpacked, 0};
        size_t result = ZSTD_decompressStream(context, &to, &from);
        note(&result, sizeof result);
        ZSTD_freeDCtx(context);
        packed[n / 2] = damaged;
        unpack(2 * round + 1, n, size);
    }
}

/* ---- several dictionaries, which are gone when the next user comes ---- */

static void run_dictionaries(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        ZSTD_DDict *dictionary = ZSTD_createDDict(text + round, 3000);
        ZSTD_DCtx *context = ZSTD_createDCtx();
        ZSTD_DCtx_setParameter(context, ZSTD_d_refMultipleDDicts, ZSTD_rmd_refMultipleDDicts);
        expect(!ZSTD_isError(ZSTD_DCtx_refDDict(context, dictionary)), "a dictionary is refused");
        ZSTD_freeDCtx(context);
        ZSTD_freeDDict(dictionary);
    }
    run_serial();
}

/* ---- contexts that libzstd made by other functions ---- */

static void run_foreign(void)
{
    static _Alignas(16) unsigned char room[1 << 20];
    ZSTD_DCtx *of_ours = ZSTD_initStaticDCtx(room, sizeof room);
    ZSTD_DCtx *advanced = ZSTD_createDCtx_advanced(ZSTD_defaultCMem);
    ZSTD_CCtx *encoder = ZSTD_createCCtx_advanced(ZSTD_defaultCMem);
    expect(of_ours && advanced && encoder, "no context");
    size_t result = ZSTD_freeDCtx(of_ours); /* an error: it is not libzstd's */
    note(&result, sizeof result);
    expect(ZSTD_freeDCtx(advanced) == 0 && ZSTD_freeCCtx(encoder) == 0, "a foreign context is not freed");
    run_serial();
}

/* ---- many at once: more than a pool has room for ---- */

static void run_crowd(void)
{
    enum { CROWD = 600 };
    static ZSTD_DCtx *crowd[CROWD];
    for (size_t i = 0; i < CROWD; i++)
        expect((crowd[i] = ZSTD_createDCtx()) != NULL, "no decoder");
    for (size_t i = 0; i < CROWD; i++)
        for (size_t j = i + 1; j < CROWD; j++)
            expect(crowd[i] != crowd[j], "one context twice");
    for (size_t i = 0; i < CROWD; i++)
        ZSTD_freeDCtx(crowd[i]);
    run_serial();
}

/* ---- threads: freed by another one than the one that made it; and a child of a fork ---- */

static ZSTD_DCtx *shared_context;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *hand_over(void *packed_size)
{
    static const size_t size = 1000;
    for (int i = 0; i < 500; i++) {
        unsigned char out[1000];
        ZSTD_DCtx *mine = ZSTD_createDCtx();
        size_t n = ZSTD_decompressDCtx(mine, out, sizeof out, packed, *(const size_t *)packed_size);
        expect(n == size && memcmp(out, text, size) == 0, "another text in a thread");
        pthread_mutex_lock(&lock);
        ZSTD_DCtx *was = shared_context;
        shared_context = mine;
        pthread_mutex_unlock(&lock);
        ZSTD_freeDCtx(was);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    size_t packed_size = pack(1, 1000);
    for (size_t i = 0; i < THREADS; i++)
        expect(pthread_create(&threads[i], NULL, hand_over, &packed_size) == 0, "no thread");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pid_t child = fork();
    if (child == 0) {
        ZSTD_freeDCtx(shared_context);
        run_serial();
        _exit(0);
    }
    int status = 1;
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the child failed");
    ZSTD_freeDCtx(shared_context);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"serial", run_serial},   {"damaged", run_damaged}, {"dictionaries", run_dictionaries},
             {"foreign", run_foreign}, {"crowd", run_crowd},     {"threads", run_threads}};

int main(int argc, char **argv)
{
    make_text();
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            printf("%016llx\n", (unsigned long long)digest);
            return 0;
        }
    fputs("contexts: no such case\n", stderr);
    return 2;
}
