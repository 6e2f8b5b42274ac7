/* SPDX-License-Identifier: MIT */
/*
 * Ticks against an owner: pool/cache/reclaim.c (steps 1 to 7, 10 to 12) and pool/api/tick.c, and the two sentences of
 * <opool/epoch.h>. One owner, whose head has one magazine, gets and puts up to N objects for ever; one ticker ticks for
 * ever, and now and then arms the head between ticks, as a sweep does that gives up. Ages are relative and have a
 * highest value, so the search covers any number of ticks. Total store order: the owner's stores wait in a buffer that
 * drains at any time; the ticker's do not, since the lock or barrier that follows drains them.
 *
 * Asserted:
 *   - no object is with two holders (a user, the head, the store), or torn down while a user has it
 *   - sentence 2, where an object is torn down: the put that received it began before the tick before this one
 *   - sentence 1, keep_promise: after a tick no object is idle since before the two whole epochs that ended, but for
 *     STEP - 1 objects if the owner worked on its head since then (the promise says STEP: 8), and but for what a
 *     counted timeout left in the head. A tick that finds the head locked also delays what the head has by a tick. One
 *     that finds it busy does not, if a tick had armed it: the next tick knows by `since` how old these objects are,
 *     and dooms them at once.
 *
 * Mutants by which an object is with two holders:
 *     -DLOCAL     the ticker's barrier drains its own buffer only (a fence instead of membarrier)
 *     -DNO_ARMED  it takes a head that was disarmed since it was armed
 *     -DNO_BUSY   it does not look at busy
 *     -DNO_LOCK   the owner's slow path does without the head's lock
 *     -DEARLY     the ticker takes in the tick that arms
 *     -DNO_GAP    the owner does not close the gap of what was taken from below the floor
 *     -DDISARMED  what the ticker empties it leaves disarmed, the floor changed before the top
 *     -DNO_LOWER  a get of what stands below the floor leaves the floor there
 * Mutants that break sentence 1:
 *     -DFORGET    a tick tears down one object only
 *     -DNO_RAISE  the floor is not raised after a tick
 *     -DYOUNGER   what an armed head has is taken as just used
 *     -DNO_SINCE  what a head has is taken as one tick old though it is two
 *     -DGREEDY    a get that needs one old object takes all there are
 *     -DPUNCTUAL  no mutant: a locked head is no delay. It is, so this must fail too
 * Mutants that break sentence 2:
 *     -DOLDER     victims are doomed in the tick that made them victims
 *     -DALL_OLD   in a head that a sweep armed all is as old as what stands below the floor
 *
 * Not modelled: weaker orders than TSO, two magazines, shards, `keep`, heads without barriers, threads that end, forks:
 * test/explorer has them, on the real code.
 */
#ifndef N
#define N 3
#endif
#ifndef STEP
#define STEP 1 /* most objects that a get takes from below the floor: 8 in the library */
#endif
#define ARMED_FLOOR 15
#define OLD 2     /* of `age` and `since`: so many ticks or more */
#define OVERDUE 3 /* of `over` and `asleep`: two whole epochs */
#define LATE 4    /* so many or more */
#define LOW_ALL 15

/* ---- the head: what all see ---- */
bool lock, busy;
byte top, limit;
byte floor = ARMED_FLOOR; /* not in use yet */
byte slots[N];
/* of its magazine, under the lock */
byte low, vacant;
byte step = 1;
byte since = OLD; /* ticks since one looked at it */

/* ---- the owner's store buffer; of what it wrote it sees the newest itself ---- */
mtype = { BUSY, POP, PUSH };
chan buffer = [4] of { mtype, byte, byte };
byte tops_pending, newest_top;
byte own_slots[N];

/* ---- objects, numbered from 1; where they really are, and how long ---- */
mtype = { OUT, PUT, HEAD, RECENT, VICTIM, DOOMED, GONE };
mtype where[N + 1] = GONE;
byte age[N + 1];  /* ticks begun since the put that received it began */
byte over[N + 1]; /* the same since that put stored it, without ticks that delay */
byte asleep;      /* the same since the owner last worked on its head under the lock */
bool timed_out;   /* this tick, by a busy head */

/* ---- ghosts of the promise ---- */

inline grow(what, most)
{
    what = (what < most -> what + 1 : most)
}

/* An epoch begins. */
inline begin_epoch()
{
    d_step {
        for (i : 1 .. N) {
            if :: where[i] != GONE && where[i] != OUT -> grow(age[i], OLD) :: else fi;
            if :: where[i] != GONE && where[i] != OUT && where[i] != PUT -> grow(over[i], LATE) :: else fi
        };
        grow(asleep, LATE);
        grow(since, OLD);
        timed_out = false;
        i = 0
    }
}

/* Under the head's lock, or while its owner has it. */
inline delay()
{
#ifndef PUNCTUAL
    for (i : 1 .. N) {
        if :: where[i] == HEAD && over[i] > 0 -> over[i]-- :: else fi
    };
    if :: asleep > 0 -> asleep-- :: else fi;
#endif
    timed_out = true;
    i = 0
}

inline keep_promise()
{
    d_step {
        n = 0;
        for (i : 1 .. N) {
            if
            :: over[i] >= OVERDUE && !(timed_out && where[i] == HEAD) -> n++
            :: else
            fi
        };
        assert(n <= (asleep >= OVERDUE -> 0 : STEP - 1)); /* sentence 1 */
        n = 0;
        i = 0
    }
}

/* ---- store buffer ---- */

inline apply(kind, value, object)
{
    if
    :: kind == BUSY -> busy = value
    :: kind == POP -> top = value; tops_pending--
    :: kind == PUSH -> slots[value - 1] = object; top = value; tops_pending--
    fi;
    if :: tops_pending == 0 -> newest_top = 0 :: else fi
}

active proctype flusher()
{
    mtype k;
    byte v, o;
end:
    do
    :: d_step { buffer?k,v,o; apply(k, v, o); k = 0; v = 0; o = 0 }
    od
}

/* A full barrier of the owner's, or one that membarrier makes it have. */
inline drain()
{
    d_step {
        do
        :: nempty(buffer) -> buffer?fk,fv,fo; apply(fk, fv, fo)
        :: empty(buffer) -> break
        od;
        fk = 0; fv = 0; fo = 0
    }
}

/* ---- owner ---- */

inline received(object)
{
    assert(where[object] == PUT);
    where[object] = HEAD;
    over[object] = 0
}

inline returned(object, from)
{
    assert(object != 0 && where[object] == from);
    where[object] = OUT;
    age[object] = 0;
    over[object] = 0
}

/* Under the lock: objects below `vacant` are gone, the others move down, and low is what a tick left of it. */
inline close_gap()
{
    count = top;
#ifndef NO_GAP
    count = top - vacant;
    if
    :: vacant > 0 ->
       for (i : 1 .. N) {
           if :: i <= count -> slots[i - 1] = slots[i - 1 + vacant] :: else fi
       }
    :: else
    fi;
#endif
    vacant = 0;
#ifdef NO_RAISE
    if :: low == LOW_ALL -> low = 0 :: else fi;
#endif
    low = (low < count -> low : count);
    i = 0
}

inline take_step()
{
    n = step;
    step = (step < STEP -> 2 * step : STEP);
    step = (step < STEP -> step : STEP);
#ifdef GREEDY
    n = N;
#endif
}

/* From the store into the empty magazine: up to n, the youngest first and on top. */
inline rescue_from(age_group)
{
    for (i : 1 .. N) {
        if :: n > 0 && where[i] == age_group -> n--; where[i] = HEAD; slots[n] = i :: else fi
    }
}

inline rescue()
{
    take_step();
    for (i : 1 .. N) {
        if :: where[i] == RECENT || where[i] == VICTIM || where[i] == DOOMED -> count++ :: else fi
    };
    count = (count < n -> count : n);
    n = count;
    rescue_from(RECENT);
    rescue_from(VICTIM);
    rescue_from(DOOMED)
}

inline disarm()
{
    top = count;
    floor = low;
    limit = N;
    for (i : 1 .. N) {
        if
        :: i > count -> slots[i - 1] = 0
        :: else
        fi;
        own_slots[i - 1] = slots[i - 1]
    };
    asleep = 0;
    i = 0; count = 0; n = 0; x = 0
}

inline get_locked()
{
    close_gap();
    if :: count == 0 -> rescue() :: else fi;
    if
    :: count > 0 ->
       count--;
       returned(slots[count], HEAD);
       if
       :: low > count ->
          take_step();
#ifndef NO_LOWER
          low = (low > n -> low - n : 0)
#endif
       :: else
       fi
    :: else -> /* builds one */
       for (i : 1 .. N) {
           if :: where[i] == GONE && x == 0 -> x = i :: else fi
       };
       returned(x, GONE)
    fi;
    disarm()
}

inline put_locked()
{
    close_gap();
    slots[count] = x;
    count++;
    received(x);
    disarm()
}

/* Taking a lock is a locked instruction. */
inline enter()
{
#ifdef NO_LOCK
    drain()
#else
    atomic { !lock -> lock = true; drain() }
#endif
}

inline read_top()
{
    t = (tops_pending > 0 -> newest_top : top)
}

inline write_top(kind, value, object)
{
    buffer!kind,value,object;
    tops_pending++;
    newest_top = value
}

inline any_out()
{
    for (i : 1 .. N) {
        if :: where[i] == OUT && x == 0 -> x = i :: else fi
    };
    i = 0
}

inline count_out()
{
    for (i : 1 .. N) {
        if :: where[i] == OUT -> n++ :: else fi
    };
    i = 0
}

active proctype owner()
{
    byte t, x, i, n, count;
    mtype fk;
    byte fv, fo;
end:
    do
    :: d_step { n = 0; count_out(); t = n; n = 0 };
       if
       :: t < N -> /* get */
          t = 0;
          buffer!BUSY,1,0; /* relaxed: only the compiler is kept from moving what follows */
          read_top();
          if
          :: t > floor ->
             atomic {
                 returned(own_slots[t - 1], HEAD);
                 write_top(POP, t - 1, 0)
             };
             buffer!BUSY,0,0
          :: else ->
             buffer!BUSY,0,0;
             enter();
             d_step { get_locked(); lock = false }
          fi
       :: t > 0 -> /* put */
          d_step { t = 0; any_out(); where[x] = PUT };
          buffer!BUSY,1,0;
          read_top();
          if
          :: t < limit ->
             atomic {
                 received(x);
                 own_slots[t] = x;
                 write_top(PUSH, t + 1, x);
                 x = 0
             };
             buffer!BUSY,0,0
          :: else ->
             buffer!BUSY,0,0;
             enter();
             d_step { put_locked(); lock = false }
          fi
       fi;
       t = 0
    od
}

/* ---- ticker ---- */

inline retire(object, into)
{
    assert(object != 0 && where[object] == HEAD);
    where[object] = into
}

#ifdef NO_SINCE
#define AGED VICTIM
#else
#define AGED (since >= OLD -> DOOMED : VICTIM)
#endif
#ifdef ALL_OLD
#define REST AGED
#else
#define REST VICTIM
#endif

/* Below the floor: the fast path does not touch these. */
inline age_low()
{
    d_step {
        for (i : 1 .. N) {
            if :: i <= low -> retire(slots[i - 1], AGED) :: else fi
        };
        vacant = low;
        low = LOW_ALL;
        step = 1;
        since = 0;
        i = 0
    }
}

/* All of it; the head stays armed. */
inline retire_all()
{
    d_step {
        for (i : 1 .. N) {
            if
            :: i > vacant && i <= top ->
#ifdef YOUNGER
               retire(slots[i - 1], RECENT)
#else
               if
               :: i - vacant <= low -> retire(slots[i - 1], AGED)
               :: else -> retire(slots[i - 1], REST)
               fi
#endif
            :: else
            fi;
            slots[i - 1] = 0;
            own_slots[i - 1] = 0
        };
        low = 0;
        vacant = 0;
        step = 1;
        since = OLD; /* the next magazine's is of any age */
        i = 0
    };
#ifdef DISARMED
    floor = 0;
#endif
    top = 0
}

inline arm()
{
    floor = ARMED_FLOOR;
    limit = 0
}

#ifdef NO_ARMED
#define IS_ARMED (floor == ARMED_FLOOR || was_armed)
#else
#define IS_ARMED (floor == ARMED_FLOOR)
#endif
#ifdef NO_BUSY
#define IS_OUTSIDE true
#else
#define IS_OUTSIDE (!busy)
#endif

inline tick_head_locked()
{
    if
    :: !IS_ARMED ->
       age_low();
       arm();
       was_armed = true;
#ifdef EARLY
       if :: IS_OUTSIDE -> retire_all() :: else fi
#endif
    :: else ->
       if
       :: IS_OUTSIDE -> retire_all(); was_armed = false
       :: else ->
          timed_out = true;
          d_step { if :: low != LOW_ALL -> delay() :: else fi } /* armed by a sweep */
       fi
    fi
}

inline move_victims(from, to)
{
    for (i : 1 .. N) {
        if :: where[i] == from -> where[i] = to :: else fi
    };
    i = 0
}

inline barrier()
{
#ifndef LOCAL
    drain()
#else
    skip
#endif
}

active proctype ticker()
{
    byte i, n, x;
    mtype fk;
    byte fv, fo;
    bool was_armed;
    do
    :: begin_epoch();
#ifndef OLDER
       d_step { move_victims(VICTIM, DOOMED); move_victims(RECENT, VICTIM) }; /* under the store's lock */
#endif
       if
       :: atomic { !lock -> lock = true };
          tick_head_locked();
          lock = false
       :: d_step { lock -> delay() } /* the next tick */
       fi;
#ifdef OLDER
       d_step { move_victims(VICTIM, DOOMED) };
#endif
       barrier();
       /* tear-down: outside all locks, an object at a time */
       x = 1;
       do
       :: x <= N ->
          d_step {
              if
              :: where[x] == DOOMED ->
                 assert(age[x] >= OLD); /* sentence 2 */
                 where[x] = GONE;
                 age[x] = 0;
                 over[x] = 0;
#ifdef FORGET
                 x = N
#endif
              :: else
              fi;
              x++
          }
       :: else -> break
       od;
       x = 0;
       keep_promise()
    :: atomic { !lock && floor != ARMED_FLOOR -> lock = true }; /* a sweep that gives up */
       arm();
       lock = false;
       barrier()
    od
}
