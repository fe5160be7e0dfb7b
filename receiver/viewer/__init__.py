"""The viewer: a timeline of what a receiver delivers, as a page in a browser.

ends --> :mod:`~receiver.viewer.timeline` --> :mod:`~receiver.viewer.app` (server-sent events) --> page
pictures --> :mod:`~receiver.viewer.gallery` (files) ----^

It runs in the gateway's process and loop, so it never imports torch: what measures or decodes for it is
a process of its own (:mod:`~receiver.viewer.lab`) or the decoder pool.
"""
