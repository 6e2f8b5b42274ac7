/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "../tools.h"
#include "report.h"

int opool__tool_profile(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return opool__profile_report(argc - 1, argv + 1);
    fputs("Usage: opool profile report [OPTION]... FILE...\n",
          argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
    return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
