# SPDX-License-Identifier: MIT


class JobError(Exception):
    """Ends the job with this message, exit status 1."""
