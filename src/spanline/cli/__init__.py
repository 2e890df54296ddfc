"""The command line. One command a file, without logic: that is in analyses.py, stages/ and output.py."""


def main() -> None:
    """Runs `spanline` and ends the process; cli/group.py has the exit codes."""
    import gc
    import os

    gc.set_threshold(100_000)  # what modules define is no garbage, and most of a short run is importing them
    _open_closed_streams()  # before anything else is opened
    from spanline.cli.signals import end_on_signals

    end_on_signals()  # before the imports, which take most of the time of a short run
    # numpy would start a thread for each core that spins a while, for linear algebra that nobody does here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Arrow's own allocator gives back what is freed at odd times: memory of a capture of weeks would never be level.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from spanline.cli.group import run

    run()


def _open_closed_streams() -> None:
    """Who closes a standard stream (2>&-) gives its number to the next file: a message would be written into a segment.

    Of stdin there is nothing to read then, what goes to stderr is lost, and writing to stdout fails.
    """
    import os
    import sys

    for name, mode, access in (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDWR)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode))
