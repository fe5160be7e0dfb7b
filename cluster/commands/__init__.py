"""Commands of ``sidewire`` that make up a cluster, a file a group."""
