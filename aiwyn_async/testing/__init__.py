"""For the tests of programs that use this package: pytest fixtures and a clock.

pytest loads the fixtures ``aiwyn_sandbox``, ``aiwyn_client``, ``aiwyn_clock`` and ``aiwyn_sandbox_options``
by itself, see ``aiwyn_async.testing.plugin``. ``FakeClock`` needs no pytest.
"""

from aiwyn_async.testing._clock import FakeClock

__all__ = ["FakeClock"]
