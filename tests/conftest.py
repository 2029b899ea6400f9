"""What every test shares."""

from hypothesis import HealthCheck, settings

from tests.redis_server import redis_server  # noqa: F401 - a fixture for every test below

# A loaded machine is slow, not wrong: no example is failed for the time it took.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
