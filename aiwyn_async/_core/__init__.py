"""What every other package builds on: files, threads, clocks."""
