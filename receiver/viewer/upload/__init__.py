"""The upload page: a visitor's own picture, compressed with any codec, beside the original.

    browser --> routes --> studio --> turns --> reading process: a file to pixels, no torch
                  ^          |   \\--> turns --> coding process: captions, streams, pictures, measures
                  |          v
                  \\------- shelf: pictures and results by random ids, in a folder, bounded

Like all of the viewer it lives in an asyncio loop and never imports torch there. A picture's state is one
value (:mod:`~receiver.viewer.upload.state`), which pages get whole with every change.
"""
