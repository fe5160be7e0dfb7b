"""``sidewire bench``: pictures a second and latencies of a whole pipeline, under a load that is stated.

feed --> N load senders, processes --socket--> gateway in this process --> M decoders --> sink
     \\-> N caption publishers     --socket--^
and in turn with it, on the same pictures: a bare loop that encodes and decodes in its own processes.

Those processes import modules of this package, so it imports none itself: :mod:`cluster.bench.run` is where
to begin.
"""
