"""A room of earlier versions: what it held is found where :mod:`bundle.aliases` says."""

from .aliases import moved

__getattr__ = moved(__name__)
