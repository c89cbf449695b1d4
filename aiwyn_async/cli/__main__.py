"""``python -m aiwyn_async.cli``."""

from aiwyn_async.cli import main

if __name__ == "__main__":
    main()
