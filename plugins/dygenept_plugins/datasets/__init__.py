"""Data sources that ship with DyGenePT, one file each.

``gears`` opens published screens, ``simulated`` makes their stand-ins, ``joined`` puts several data
sets together.
"""
