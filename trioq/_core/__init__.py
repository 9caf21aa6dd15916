"""The pure core: values in, values out.

No trio, no clock, no randomness, no disk: time, dice and ids come in as arguments.
Everything that decides lives here; everything that does lives above.
"""
