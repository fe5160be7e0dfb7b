"""What both ends share: codecs and their streams, feeds, words, the wire."""

from __future__ import annotations

import os

# Read when gRPC is imported. A receiver starts a cluster, whose processes are forked before they become
# another program. gRPC's core would start its threads in each of those, on the connections of this process:
# they break calls that are under way, and one child in four crashes before it has begun.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
