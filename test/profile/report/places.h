/* SPDX-License-Identifier: MIT */
#ifndef PLACES_H
#define PLACES_H

/* Objects of the sizes that the tests ask for. */

struct conn {
    int id;
    unsigned char buffer[988];
};

struct request {
    int method;
    char path[200];
};

struct odd {
    unsigned char bytes[333];
};

struct passed {
    long numbers[50];
};

/* Not of fixed shape. */
struct growing {
    char *items;
    unsigned long used, room, filler[13];
};

#endif
