"""The pure core: values in, values out.

No trio, no clock, no randomness, no disk: time, dice and ids come in as arguments.
All decisions are made here; the layers above act on them.
"""
