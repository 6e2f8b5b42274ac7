/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_H
#define OPOOL_TOOLS_H

/* The sub-commands of `opool`: argv[0] is the sub-command's name, the result the exit status. Output that could not be
   written is noticed by main. */

/* In a child: what is executed finds signals handled as it would without us. */
void opool__restore_signals(void);

int opool__tool_audit(int argc, char **argv);
int opool__tool_bench(int argc, char **argv);
int opool__tool_profile(int argc, char **argv);
int opool__tool_shapes(int argc, char **argv);
int opool__tool_try(int argc, char **argv);

#endif
