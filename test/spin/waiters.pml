/* SPDX-License-Identifier: MIT */
/*
 * Waiters and the tight mode of pool/cache/reclaim.c: one object, an owner that puts it into its cache by the fast path
 * or, when armed, into the store; two threads that wait for it, the second perhaps for a limited time; somebody who
 * leaves the tight mode. Total store order. No end state may have a waiter that sleeps (spin: an invalid end state).
 *
 *     -DNO_BARRIER   the waiter does not drain the owner's store buffer
 *     -DNO_SCAN      it sleeps without looking at the heads
 *     -DSCAN_FIRST   it looks at the heads before it queues, and not again
 *     -DNO_LOOK      an owner that was inside its section is not looked at again
 *     -DBARGE        a put does not hand over to the oldest waiter
 *     -DLOOSE        the tight mode is left although somebody waits
 */
#define BUSY 0
#define ARMED 1
byte mem[2];
byte cached = 0; /* in the owner's head */
byte store = 0;  /* idle in the locked store */
bool tight = false;
bool head_lock = false;
byte queue[2];   /* numbers of those who wait, oldest first; 0: none */
bool served[3];
byte gone = 0; /* threads that had it, or left without */
chan so = [3] of { byte, byte };

active proctype flusher()
{
    byte a, b;
end:
    do
    :: atomic { so?a,b; mem[a] = b }
    od
}

inline drain_owner()
{
    d_step { do :: nempty(so) -> so?fa,fb; mem[fa] = fb :: empty(so) -> break od }
}

inline serve()
{
    served[queue[0]] = true;
    queue[0] = queue[1];
    queue[1] = 0
}

/* Under the store's lock: one atomic step. */
inline give()
{
    atomic {
        if
#ifndef BARGE
        :: queue[0] != 0 -> serve()
#endif
        :: else -> store++
        fi
    }
}

/* Has the object when it begins; puts it, and is gone. */
active proctype owner()
{
    byte fa, fb;
    so!BUSY,1;
    if
    :: mem[ARMED] == 0 -> cached = 1; so!BUSY,0
    :: else ->
       so!BUSY,0;
       atomic { !head_lock -> head_lock = true };
       drain_owner();
       if
       :: tight -> give()
       :: else -> mem[ARMED] = 0; cached = 1
       fi;
       head_lock = false
    fi
}

inline scan()
{
    tight = true;
    atomic { !head_lock -> head_lock = true };
    mem[ARMED] = 1;
    head_lock = false;
#ifndef NO_BARRIER
    drain_owner();
#endif
    atomic { !head_lock -> head_lock = true };
    if
    :: mem[BUSY] == 0 && mem[ARMED] == 1 ->
       seen = true;
       if
       :: cached == 1 ->
          cached = 0;
#ifdef SCAN_FIRST
          give()
#else
          atomic { assert(queue[0] != 0); serve() } /* who scans waits */
#endif
       :: else
       fi
    :: else -> seen = false
    fi;
    head_lock = false
}

/* When its time is over: out of the queue, or served at the last moment. */
inline leave_queue()
{
    atomic {
        if
        :: served[me] -> skip
        :: !served[me] && queue[0] == me -> queue[0] = queue[1]; queue[1] = 0
        :: !served[me] && queue[1] == me -> queue[1] = 0
        fi
    }
}

proctype waiter(byte me; bool limited)
{
    byte fa, fb;
    bool seen = false;
#ifdef SCAN_FIRST
    scan();
#endif
    atomic {
        if
        :: store > 0 && queue[0] == 0 -> store--; served[me] = true
        :: else ->
           if :: queue[0] == 0 -> queue[0] = me :: else -> queue[1] = me fi
        fi
    }
#if !defined(NO_SCAN) && !defined(SCAN_FIRST)
    do
    :: served[me] -> break
    :: !served[me] ->
       scan();
#ifndef NO_LOOK
       if :: seen && tight -> break :: else -> skip fi
#else
       break
#endif
    od;
#endif
    if
    :: served[me] /* sleeps */
    :: limited -> leave_queue()
    fi;
    if
    :: served[me] -> give()
    :: else
    fi;
    gone++
}

/* Now and then, in slow paths and ticks. */
active proctype loosener()
{
    atomic {
        if
#ifndef LOOSE
        :: queue[0] == 0 && tight -> tight = false
#else
        :: tight -> tight = false; mem[ARMED] = 0
#endif
        :: else -> skip
        fi
    }
}

init
{
    atomic {
        run waiter(1, false);
        if
        :: run waiter(2, false)
        :: run waiter(2, true)
        fi
    };
    (gone == 2);
    assert(queue[0] == 0 && store + cached == 1)
}
