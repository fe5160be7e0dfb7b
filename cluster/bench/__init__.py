"""``sidewire bench``: pictures a second and latencies of a whole pipeline, under a load that is stated.

feed --> N load senders --socket--> gateway in this process --> M decoders --> sink
     \\-> N caption publishers --socket--^
Senders and publishers are processes of this machine, or Ray actors on any nodes. In turn with all that, on
the same pictures: a bare loop that encodes and decodes in processes of its own.

Those processes import modules of this package, so it imports none itself: :mod:`cluster.bench.run` is where
to begin.
"""
