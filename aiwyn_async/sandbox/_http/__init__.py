"""Serving the API over HTTP: requests, responses, faults and control."""
