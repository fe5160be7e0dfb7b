"""``sidewire demo``: a news feed over real sockets, from senders to a page.

feed --> newsroom --pipe--> ``sidewire send``     --socket--> receiver in this process --> viewer --> browser
                 \\--pipe--> its previews          --socket--^
                 \\--pipe--> ``sidewire captions`` --socket--^
"""
