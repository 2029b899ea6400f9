"""What simulated upstreams are made of; it shares no code with what reads them.

A source's `simulator` takes a `Simulation` and adds its upstream, its steps and its commands to it.
"""

from pnl_backend.sources.simulated.simulation import Simulate, SimulatedPart, Simulation

__all__ = ["Simulate", "SimulatedPart", "Simulation"]
