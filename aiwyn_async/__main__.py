"""The command ``aiwyn``, which is also ``python -m aiwyn_async``."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the command handles it, Ctrl-C would end an import in a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from aiwyn_async._cli import main

if __name__ == "__main__":
    main()
