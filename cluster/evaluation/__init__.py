"""Rate and distortion of codecs over a feed: real bytes, means over pictures, BD-rates and plots.

Its parts are imported where they are used: intervals and rows need none of what measures pictures.
"""
