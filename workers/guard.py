"""How a pool child ends itself when its work hangs: the pool then replaces it, with nothing left over."""

import faulthandler
import os

EXIT_STATUS = 70
STDERR = 2  # sys.stderr may be Celery's logger, which is no file


class Guard:
    """Ends this process. Armed, it does so by itself after a while, even where no Python code can run."""

    def end(self) -> None:
        """Now, from any thread; where each thread was is written to stderr."""
        faulthandler.dump_traceback(file=STDERR)
        os._exit(EXIT_STATUS)

    def arm(self, after_s: float) -> None:
        """From now; armed again, counted from then. (The interpreter's own watchdog, with exit status 1.)"""
        faulthandler.dump_traceback_later(after_s, exit=True, file=STDERR)

    def disarm(self) -> None:
        faulthandler.cancel_dump_traceback_later()
