/* SPDX-License-Identifier: MIT */

/* C++'s operators new and delete, for test/profile/run: 100 blocks of each, of a size of its own. */
#include <new>

template <class T> static T *keep(T *at)
{
    __asm__ volatile("" : "+r"(at)::"memory");
    return at;
}

extern "C" __attribute__((noinline)) void by_operators()
{
    const auto wide = std::align_val_t(64);
    for (int i = 0; i < 100; i++) {
        ::operator delete(keep(::operator new(8)));
        ::operator delete[](keep(::operator new[](16)));
        ::operator delete(keep(::operator new(24, std::nothrow)), std::nothrow);
        ::operator delete[](keep(::operator new[](32, std::nothrow)), std::nothrow);
        ::operator delete(keep(::operator new(64, wide)), wide);
        ::operator delete[](keep(::operator new[](128, wide)), wide);
        ::operator delete(keep(::operator new(192, wide, std::nothrow)), 192, wide);
        ::operator delete[](keep(::operator new[](256, wide, std::nothrow)), 256, wide);
    }
    keep(&wide);
}

/* What an operator throws goes through the recorder, which records on. */
int main()
{
    int caught = 0;
    for (int i = 0; i < 10; i++)
        try {
            ::operator delete(keep(::operator new(static_cast<std::size_t>(-1) / 4)));
        } catch (const std::bad_alloc &) {
            caught++;
        }
    by_operators();
    return caught == 10 ? 0 : 1;
}
