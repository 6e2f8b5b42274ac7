/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_ASKS_H
#define OPOOL_OS_ASKS_H

/*
 * Around what may take the loader's lock: no fork happens meanwhile, after which nobody would ever drop that lock in
 * the child. Outside all locks of ours. Threads inside do not wait for each other.
 */
void opool__loader_enter(void);
void opool__loader_leave(void);

/* Of the handlers of fork, before all locks: prepare waits until nobody is inside. */
void opool__loader_fork_prepare(void);
void opool__loader_fork_parent(void);
void opool__loader_fork_child(void);

#endif
