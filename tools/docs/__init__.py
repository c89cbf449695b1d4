"""Build the documentation site: pages, reference, llms.txt, and a check of its links."""
