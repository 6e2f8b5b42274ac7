/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_STATE_H
#define OPOOL_OS_STATE_H

/* Marks the variables that hold state between calls, in the layers that the explorer runs: the same code from
   the same state millions of times, and puts them back from an image of their section each time. */
#ifdef OPOOL_EXPLORE
#define OPOOL__STATE __attribute__((section("opool_state")))
#else
#define OPOOL__STATE
#endif

#endif
