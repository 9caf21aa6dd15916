"""What the specification says of a backend with a fault."""

from trioq.testing import spec

from lazy_backend import LazyBackend

try:
    spec(LazyBackend)
except AssertionError as error:
    print(error)
