# SPDX-License-Identifier: MIT


class JobError(Exception):
    """Ends the job with this message, exit status 1."""
    status = 1


class UsageError(JobError):
    """As JobError, but what was asked for can not be done: exit status 2."""
    status = 2
