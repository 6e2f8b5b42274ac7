/* SPDX-License-Identifier: MIT */
/*
 * The reclaim of pool/cache/reclaim.c with ticks, under total store order: each side has a store buffer that drains at
 * any time. One owner gets and puts one object by its fast path, one ticker arms, waits an epoch, takes.
 *
 *     -DLOCAL     the ticker's barrier drains its own buffer only (a fence instead of membarrier)
 *     -DNO_ARMED  it takes a head that was disarmed since
 *     -DNO_BUSY   it does not look at busy
 *     -DNO_LOCK   the owner's slow path does without the head's lock
 *     -DEARLY     it takes in the tick that arms
 *
 * Not modelled: weaker orders than TSO, floors within a magazine: test/explorer has both, on the real code.
 */
#define BUSY 0
#define ARMED 1
#ifdef NO_ARMED
#define IS_ARMED true
#else
#define IS_ARMED mem[ARMED] == 1
#endif
#ifdef EARLY
#define EARLY_TAKE (mem[BUSY] == 0)
#else
#define EARLY_TAKE false
#endif
#ifdef NO_BUSY
#define IS_OUTSIDE true
#else
#define IS_OUTSIDE mem[BUSY] == 0
#endif
byte mem[2];       /* what all see of busy and armed; top is the object's place, below */
byte held = 0;     /* 0: idle in the head; 1: with the owner; 2: a victim; 3: torn down */
bool lock = false; /* of the head */
bool in_owner, in_ticker;
byte used = 0;     /* ticks begun when it was last used */
byte ticks = 0;
bool was_seen = false; /* armed by an earlier tick, behind its barrier */
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

inline use_object()
{
    in_owner = true;
    assert(!in_ticker);
    if
    :: held == 0 -> held = 1
    :: held == 1 -> held = 0; used = begun /* put received it when the call began */
    :: else -> skip
    fi;
    in_owner = false
}

active proctype owner()
{
    byte fa, fb, begun;
end:
    do
    :: begun = ticks;
       so!BUSY,1; /* relaxed store; only the compiler is kept from moving what follows */
       if
       :: mem[ARMED] == 0 -> use_object(); so!BUSY,0
       :: else ->
          so!BUSY,0;
#ifndef NO_LOCK
          atomic { !lock -> lock = true };
#endif
          drain_owner(); /* taking a lock is a locked instruction */
          atomic { mem[ARMED] = 0; if :: held >= 2 -> held = 1 :: else -> skip fi }; /* takes it back, or builds */
          use_object();
          lock = false
       fi
    od
}

active proctype ticker()
{
    byte fa, fb;
    do
    :: ticks < 6 ->
       ticks++;
       /* the victims of the last tick: nobody took them back */
       atomic { /* under the store's lock */
           if
           :: held == 2 -> assert(used + 2 <= ticks); held = 3
           :: else -> skip
           fi
       };
       if
       :: atomic { !lock -> lock = true };
          if
          :: was_seen && IS_ARMED && IS_OUTSIDE ->
             in_ticker = true;
             assert(!in_owner);
             if :: held == 0 -> held = 2 :: else -> skip fi;
             in_ticker = false
          :: else ->
             mem[ARMED] = 1;
             was_seen = false;
             in_ticker = EARLY_TAKE;
             assert(!(in_ticker && in_owner));
             if :: in_ticker && held == 0 -> held = 2 :: else -> skip fi;
             in_ticker = false
          fi;
          lock = false
       :: lock -> skip /* its owner changes magazines: the next tick */
       fi;
#ifndef LOCAL
       drain_owner();
#endif
       was_seen = true
    :: else -> break
    od
}
