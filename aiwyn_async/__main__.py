"""``python -m aiwyn_async``."""

from aiwyn_async._cli import main

if __name__ == "__main__":
    main()
