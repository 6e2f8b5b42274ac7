/* SPDX-License-Identifier: MIT */

/* Loaded by subject.c, which is C: with a C++ library inside, or with libc++, that nobody else has. */
#include <cstddef>
#include <new>

extern "C" void *plugin_allocate();

static void *keep(void *at)
{
    __asm__ volatile("" : "+r"(at)::"memory");
    return at;
}

struct alignas(64) wide {
    char bytes[64];
};

extern "C" void *plugin_allocate()
{
    delete static_cast<int *>(keep(new int));
    delete[] static_cast<char *>(keep(new (std::nothrow) char[10]));
    delete static_cast<wide *>(keep(new wide));
    return keep(::operator new(90));
}
