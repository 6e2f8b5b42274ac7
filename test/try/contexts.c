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
#include <zdict.h>
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
        /* What comes of it depends on what a context did before: libzstd promises nothing. */
        (void)ZSTD_decompressStream(context, &to, &from);
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

/* A frame that needs a dictionary with a number. Returns its size. */
static size_t pack_with(const void *dictionary, size_t size)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t n = ZSTD_compress_usingDict(context, packed, sizeof packed, text, 1000, dictionary, size, 3);
    expect(!ZSTD_isError(n), "compress with a dictionary");
    ZSTD_freeCCtx(context);
    return n;
}

/* The parameter has its default again, and the context has the dictionary all the same. */
static void leave_dictionary(const void *bytes, size_t size)
{
    ZSTD_DDict *dictionary = ZSTD_createDDict(bytes, size);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    expect(dictionary && context, "no decoder with a dictionary");
    ZSTD_DCtx_setParameter(context, ZSTD_d_refMultipleDDicts, ZSTD_rmd_refMultipleDDicts);
    expect(!ZSTD_isError(ZSTD_DCtx_refDDict(context, dictionary)), "a dictionary is refused");
    ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters);
    ZSTD_freeDCtx(context);
    ZSTD_freeDDict(dictionary);
}

enum { DICTIONARY = 4000 };

static size_t make_dictionary(unsigned char *into, const unsigned char *from)
{
    enum { SAMPLES = 100, SAMPLE = 500 };
    size_t sizes[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++)
        sizes[i] = SAMPLE;
    size_t size = ZDICT_trainFromBuffer(into, DICTIONARY, from, sizes, SAMPLES);
    expect(!ZDICT_isError(size), "no dictionary");
    return size;
}

/* The next user has another dictionary, and knows no more than that. */
static void run_left_dictionary(void)
{
    static unsigned char dictionary[DICTIONARY], other_bytes[DICTIONARY];
    size_t size = make_dictionary(dictionary, text), n = pack_with(dictionary, size);
    ZSTD_DDict *other = ZSTD_createDDict(other_bytes, make_dictionary(other_bytes, text + TEXT / 2));
    for (unsigned round = 0; round < ROUNDS; round++) {
        leave_dictionary(dictionary, size);
        ZSTD_DCtx *context = ZSTD_createDCtx();
        ZSTD_DCtx_setParameter(context, ZSTD_d_refMultipleDDicts, ZSTD_rmd_refMultipleDDicts);
        ZSTD_DCtx_refDDict(context, other);
        size_t result = ZSTD_decompressDCtx(context, unpacked, sizeof unpacked, packed, n);
        expect(ZSTD_isError(result), "the last user's dictionary is there");
        note(&result, sizeof result);
        ZSTD_freeDCtx(context);
    }
    ZSTD_freeDDict(other);
    run_serial();
}

/* In two calls: what is small and comes at once is no work for them. */
static size_t pack_by_workers(ZSTD_CCtx *context)
{
    ZSTD_inBuffer from = {text, TEXT / 2, 0};
    ZSTD_outBuffer to = {packed, sizeof packed, 0};
    expect(!ZSTD_isError(ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue)), "compress by workers");
    from.size = TEXT;
    size_t left;
    while ((left = ZSTD_compressStream2(context, &to, &from, ZSTD_e_end)) != 0)
        expect(!ZSTD_isError(left), "compress by workers to the end");
    return to.pos;
}

/* Threads that are gone when the next user asks for some. */
static void run_left_threads(void)
{
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        ZSTD_threadPool *pool = ZSTD_createThreadPool(2);
        ZSTD_CCtx *context = ZSTD_createCCtx();
        size_t result = ZSTD_CCtx_refThreadPool(context, pool);
        note(&result, sizeof result);
        ZSTD_freeCCtx(context);
        ZSTD_freeThreadPool(pool);
        context = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, 2);
        unpack(1, pack_by_workers(context), TEXT);
        ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
        ZSTD_freeCCtx(context);
    }
    run_serial();
}

/* ---- every parameter that changes what comes out, and what a user leaves half done ---- */

static const struct {
    ZSTD_cParameter name;
    int value;
} left_set[] = {{ZSTD_c_enableLongDistanceMatching, 1},
                {ZSTD_c_windowLog, 12},
                {ZSTD_c_strategy, ZSTD_btopt},
                {ZSTD_c_minMatch, 6},
                {ZSTD_c_checksumFlag, 1},
                {ZSTD_c_contentSizeFlag, 0},
                {ZSTD_c_format, ZSTD_f_zstd1_magicless},
                {ZSTD_c_forceMaxWindow, 1},
                {ZSTD_c_literalCompressionMode, ZSTD_lcm_uncompressed},
                {ZSTD_c_targetCBlockSize, 1500},
                {ZSTD_c_stableInBuffer, 1},
                {ZSTD_c_stableOutBuffer, 1},
                {ZSTD_c_nbWorkers, 1}};
enum { LEFT_SET = sizeof left_set / sizeof *left_set };

static void leave_encoder(unsigned round)
{
    ZSTD_CCtx *context = round % 2 ? ZSTD_createCStream() : ZSTD_createCCtx();
    ZSTD_CCtx_params *params = ZSTD_createCCtxParams();
    size_t result =
        ZSTD_CCtxParams_setParameter(params, left_set[round % LEFT_SET].name, left_set[round % LEFT_SET].value);
    note(&result, sizeof result);
    result = ZSTD_CCtx_setParametersUsingCCtxParams(context, params);
    note(&result, sizeof result);
    if (round % 3 == 0)
        ZSTD_CCtx_refPrefix(context, text + 700, 3000);
    if (round % 4 == 0)
        ZSTD_CCtx_setPledgedSrcSize(context, 12345);
    ZSTD_inBuffer from = {text, 1 + round * 997 % 50000, 0};
    ZSTD_outBuffer to = {packed, sizeof packed, 0};
    result = ZSTD_compressStream2(context, &to, &from, round % 5 ? ZSTD_e_flush : ZSTD_e_continue);
    if (left_set[round % LEFT_SET].name != ZSTD_c_nbWorkers) /* how much they have done depends on time */
        note(&result, sizeof result);
    ZSTD_freeCCtxParams(params);
    ZSTD_freeCCtx(context);
}

/* Errors that do not hang on what a frame holds. */
static void refuse(size_t n)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    size_t results[] = {ZSTD_decompressDCtx(context, unpacked, sizeof unpacked, text, n),
                        ZSTD_decompressDCtx(context, unpacked, sizeof unpacked, packed, n / 2),
                        ZSTD_decompressDCtx(context, unpacked, 50, packed, n),
                        ZSTD_decompressDCtx(context, unpacked, sizeof unpacked, packed, n)};
    note(results, sizeof results);
    ZSTD_freeDCtx(context);
}

static void leave_decoder(unsigned round, size_t n)
{
    ZSTD_DCtx *context = round % 2 ? ZSTD_createDStream() : ZSTD_createDCtx();
    size_t result;
    if (round % 2)
        ZSTD_DCtx_setParameter(context, ZSTD_d_format, ZSTD_f_zstd1_magicless);
    if (round % 3 == 0)
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 10);
    if (round % 5 == 0)
        ZSTD_DCtx_setParameter(context, ZSTD_d_forceIgnoreChecksum, 1);
    if (round % 7 == 0)
        ZSTD_DCtx_setParameter(context, ZSTD_d_stableOutBuffer, 1);
    if (round % 4 == 0)
        ZSTD_DCtx_refPrefix(context, text + 700, 3000);
    ZSTD_inBuffer from = {packed, n / 2 + 1, 0};
    ZSTD_outBuffer to = {unpacked, sizeof unpacked, 0};
    result = ZSTD_decompressStream(context, &to, &from);
    note(&result, sizeof result);
    result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 20); /* in the middle: an error */
    note(&result, sizeof result);
    result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 99);
    note(&result, sizeof result);
    ZSTD_freeDCtx(context);
}

static size_t pack_at(int level, size_t size)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    size_t n = ZSTD_compress2(context, packed, sizeof packed, text, size);
    expect(!ZSTD_isError(n), "compress at a level");
    ZSTD_freeCCtx(context);
    return n;
}

static void run_left(void)
{
    for (unsigned round = 0; round < 3 * LEFT_SET; round++) {
        leave_encoder(round);
        size_t size = size_of(round), n = pack_at((int)(round % 20) - 1, size);
        note(packed, n);
        leave_decoder(round, n);
        refuse(n);
        unpack(1, n, size);
    }
    run_serial();
}

/* ---- contexts that libzstd made by other functions ---- */

static size_t given, given_back;

static void *give(void *unused, size_t size)
{
    (void)unused;
    given++;
    return malloc(size);
}

static void take_back(void *unused, void *block)
{
    (void)unused;
    given_back += block != NULL;
    free(block);
}

static void run_foreign(void)
{
    static _Alignas(16) unsigned char room[1 << 20];
    ZSTD_DCtx *of_ours = ZSTD_initStaticDCtx(room, sizeof room);
    const ZSTD_customMem own = {give, take_back, NULL};
    ZSTD_DCtx *advanced = ZSTD_createDCtx_advanced(own);
    ZSTD_CCtx *encoder = ZSTD_createCCtx_advanced(own);
    expect(of_ours && advanced && encoder, "no context");
    size_t result = ZSTD_freeDCtx(of_ours); /* an error: it is not libzstd's */
    note(&result, sizeof result);
    expect(ZSTD_freeDCtx(advanced) == 0 && ZSTD_freeCCtx(encoder) == 0, "a foreign context is not freed");
    expect(given > 0 && given == given_back, "its own allocator did not get all back");
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

/* Without pools libzstd does here what it likes. */
static void run_twice(void)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_freeDCtx(context);
    ZSTD_freeDCtx(context);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"serial", run_serial},
             {"damaged", run_damaged},
             {"dictionaries", run_dictionaries},
             {"left dictionary", run_left_dictionary},
             {"left threads", run_left_threads},
             {"left", run_left},
             {"foreign", run_foreign},
             {"crowd", run_crowd},
             {"threads", run_threads},
             {"twice", run_twice}};

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
