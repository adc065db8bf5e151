"""A plugin: a step that any pipeline may ask for, and a codec. stepcache.toml beside it names it."""

from fractions import Fraction

from stepcache import hookimpl, step
from stepcache.store.codecs import Encoded


@step
def harmonic(terms=20):
    """1 + 1/2 + 1/3 + ... as an exact fraction."""
    return sum((Fraction(1, n) for n in range(1, terms + 1)), Fraction(0))


class FractionCodec:
    name = "fraction"
    safe = True  # it runs no code of the stored bytes' choosing
    types = ("fractions.Fraction",)

    def takes(self, value):
        return True

    def encode(self, value):
        return Encoded((str(value).encode(),))

    def decode(self, data):
        return Fraction(bytes(data).decode())


@hookimpl
def stepcache_steps():
    return [harmonic]


@hookimpl
def stepcache_codecs():
    return [FractionCodec()]
