"""Decode the bytes of a response to rows or objects.

Bytes become rows in ``pages.PageDecoder.decode()``, one page at a time: ``envelope`` defines where a response
holds its rows, and ``row_decoder`` decodes them. ``objects.decode_object()`` decodes a single object.

``values`` is the contract of values that all outputs share: which JSON a field accepts, and what it becomes.
There are two implementations of it, which must agree: ``checked_types``, the fast one, decodes a page in one
call, and ``exact`` decodes a row value by value. ``row_decoder`` chooses between them.
"""
