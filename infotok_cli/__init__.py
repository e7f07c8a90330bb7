"""infotok: adaptive discrete video tokenization as a codec."""

__version__ = "0.1.0"
