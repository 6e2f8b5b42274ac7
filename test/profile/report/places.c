/* SPDX-License-Identifier: MIT */
/*
 * Places that ask for memory, for tests of names and types: each prints `NAME LINE OFFSET` of its call, the offset of
 * the return address in the file, as a profile has it.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "places.h"

#define NOINLINE __attribute__((noinline))

static const char *name;
static int line;

static void tell(const char *what, const char *caller)
{
    Dl_info about;
    dladdr(caller, &about);
    printf("%s %d %td\n", what, line, caller - (char *)about.dli_fbase);
}

/* Prints where it was called from. */
static NOINLINE void *ask(size_t size)
{
    tell(name, __builtin_return_address(0));
    return malloc(size);
}

#define ASK(what, size) (name = (what), line = __LINE__, ask(size))

static NOINLINE void on_a_line(void)
{
    struct conn *conn = ASK("on_a_line", sizeof *conn);
    conn->id = 1;
    free(conn);
}

static NOINLINE void in_a_function(struct request **to)
{
    void *memory = ASK("in_a_function", sizeof **to);
    *to = memory;
}

static NOINLINE void by_the_size(void)
{
    void *memory = ASK("by_the_size", sizeof(struct odd));
    free(memory);
}

static NOINLINE void by_nothing(void)
{
    void *memory = ASK("by_nothing", 7777);
    free(memory);
}

static inline __attribute__((always_inline)) void *innermost(void)
{
    return ASK("inlined", 128);
}

static inline __attribute__((always_inline)) void *inner(void)
{
    return innermost();
}

static NOINLINE void outer(void)
{
    void *memory = inner();
    free(memory);
}

NOINLINE void *xmalloc(size_t size);
NOINLINE void *xmalloc(size_t size)
{
    void *memory = ASK("wrapper", size);
    if (!memory)
        abort();
    return memory;
}

static NOINLINE void *wrapped(void)
{
    void *memory = xmalloc(48);
    return memory;
}

NOINLINE void *widget_create(void);
NOINLINE void *widget_create(void)
{
    void *memory = ASK("widget_create", 4096);
    return memory;
}

NOINLINE void *ZSTD_createDCtx(void);
NOINLINE void *ZSTD_createDCtx(void)
{
    void *memory = ASK("zstd", 95992);
    return memory;
}

/* Named as nothing that is known to pass memory on. */
static NOINLINE void *obtain(size_t size)
{
    void *memory = ASK("passed", size);
    tell("passed_on", __builtin_return_address(0));
    return memory;
}

static NOINLINE void passed_on(void)
{
    struct passed *passed = obtain(sizeof *passed);
    passed->numbers[0] = 1;
    free(passed);
}

static NOINLINE void growing(void)
{
    struct growing *memory = ASK("growing", sizeof *memory);
    free(memory);
}

int main(void)
{
    static struct odd odd;
    struct request *request;
    name = "main";
    line = __LINE__ + 1;
    free(ask(odd.bytes[0] + 1U));
    tell("a_start", (const char *)(uintptr_t)&xmalloc);
    on_a_line();
    in_a_function(&request);
    free(request);
    by_the_size();
    by_nothing();
    outer();
    free(wrapped());
    free(widget_create());
    free(ZSTD_createDCtx());
    growing();
    passed_on();
    return 0;
}
