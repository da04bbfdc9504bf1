"""Work on volumes by many processes and machines: the parts of :mod:`bundle.volumes`, on Dask's scheduler.

``starting`` starts a cluster or joins one, and ``parts`` sends it what is to be done with each part.
"""

from .parts import Cluster
from .starting import cluster

__all__ = ["Cluster", "cluster"]
