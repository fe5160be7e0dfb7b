"""``sidewire compare``: codecs told, told wrongly and told nothing, on the same pictures at equal bits."""

from cluster.compare.records import Comparison
from cluster.compare.request import Request
from cluster.compare.run import compare

__all__ = ["Comparison", "Request", "compare"]
