/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_TOOLS_H
#define OPOOL_OS_TOOLS_H

/*
 * Which memory tool does this process run under, and what is it told? AddressSanitizer, LeakSanitizer, MemorySanitizer,
 * ThreadSanitizer and valgrind's memcheck, found at run time: a plain library tells the tool of a sanitized program.
 * OPOOL_TOOLS=off in the environment: it is told nothing. Without a tool each call is a look at a variable.
 *
 * The life of a slot, as tools hear of it. Each arrow is one call, by the thread that has the slot then:
 *
 *     free --taken--> the library's --got--> a user's --put--> idle --got--> a user's ...
 *                     the library's --freed--> free            idle --open--> the library's --freed--> free
 *
 * So an object that was built and nobody had yet is got, and put if it becomes idle; and one that is out is put before
 * it is torn down.
 */

#include <stdbool.h>
#include <stddef.h>

/* Some tool wants to hear of each get and put: then pools work out of line, with thread caches. */
bool opool__tools_here(void);

/* It reports each touch of an idle object, a free slot and a gap by itself, when it happens: nobody else needs to look
   for what was written there. It wants gaps of so many bytes, and objects with some alignment. */
bool opool__tools_guard(void);
enum { OPOOL__TOOLS_GAP = 16, OPOOL__TOOLS_ALIGN = 8 };

/* Memory for slots, or handles, was made usable, or will be given back to the system or to the caller, who may have got
   it piece by piece. */
void opool__tools_memory(void *at, size_t bytes, bool here);
/* Memory of the library's own that keeps bytes of objects: what they point to is not lost. */
void opool__tools_keeps(void *at, size_t bytes, bool here);

/* `size` bytes of a slot are zero, or will be made so at once, and the library's. */
void opool__tools_taken(void *slot, size_t size);
/* A user has the object from now on, as init and reset left it. */
void opool__tools_got(void *object, size_t size);
/* Nobody touches these bytes, behind an object that is about to be built. */
void opool__tools_gap(void *at, size_t size);
/* It is idle from now on: nobody touches it. */
void opool__tools_put(void *object, size_t size);
/* The library itself touches these bytes of an idle object, or of the gap behind one, from now on. */
void opool__tools_open(void *at, size_t size);
/* Nothing is there from now on. */
void opool__tools_freed(void *at, size_t size);

/* What this thread did with the memory at `at` before `released`, another does after with it after `acquired`: for
   memory of the library's own that libc's functions access, which ThreadSanitizer sees. */
void opool__tools_released(const void *at);
void opool__tools_acquired(const void *at);

/* The library wrote this for the program to read, or for the system, maybe from bytes that nobody wrote.
   (MemorySanitizer does not see what a library does that is not instrumented.) */
void opool__tools_wrote(const void *at, size_t bytes);
/* It calls a function of the program next. */
void opool__tools_calling(void);

/* Until the next call: the calling thread looks at bytes that may never have been written, or that others write under a
   lock of the library, and says nothing of them to the program. (Instrumented code: OPOOL__READS_ANYTHING.) */
void opool__tools_quiet(bool quiet);

/* Functions that look at bytes which may never have been written: padding, where no compiler says what is. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define OPOOL__READS_ANYTHING __attribute__((no_sanitize("memory"), noinline))
#endif
#endif
#ifndef OPOOL__READS_ANYTHING
#define OPOOL__READS_ANYTHING
#endif

/* Under AddressSanitizer: called at the end of each of its reports, before the program is aborted, with the address
   that it is about. May be called on any thread and inside malloc. */
void opool__tools_on_report(void (*tell)(const void *address));

#endif
