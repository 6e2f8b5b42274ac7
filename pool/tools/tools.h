/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_H
#define OPOOL_TOOLS_H

/* The sub-commands of `opool`: argv[0] is the sub-command's name, the result the exit status. Output that could not be
   written is noticed by main. */

int opool__tool_audit(int argc, char **argv);
int opool__tool_bench(int argc, char **argv);
int opool__tool_profile(int argc, char **argv);
int opool__tool_shapes(int argc, char **argv);
int opool__tool_try(int argc, char **argv);

#endif
