/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_ENVIRONMENT_H
#define OPOOL_TOOLS_PROFILE_ENVIRONMENT_H

/* What `opool profile` tells the library that it preloads. A process reads it once, when it starts. */

#define OPOOL__PROFILE_FOLDER "OPOOL__PROFILE_FOLDER" /* of the live images: absolute; not there: nothing to do */
#define OPOOL__PROFILE_MODE "OPOOL__PROFILE_MODE"     /* enum opool__profile_mode */
#define OPOOL__PROFILE_EVERY "OPOOL__PROFILE_EVERY"
#define OPOOL__PROFILE_DEPTH "OPOOL__PROFILE_DEPTH" /* frames a site */
#define OPOOL__PROFILE_ONLY "OPOOL__PROFILE_ONLY"   /* a program's name, or its path */

/* A file in the folder, one character: '1' recording is on for who starts, '0' it is off. */
#define OPOOL__PROFILE_CONTROL "control"

#endif
