"""The simulated upstreams of the sources over real HTTP on loopback, assembled, with faults on demand."""

from .book import Book
from .faults import Fault
from .simulator import Credentials, Simulator
from .truth import Truth

__all__ = ["Book", "Credentials", "Fault", "Simulator", "Truth"]
