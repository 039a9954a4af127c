"""OpenAI-compatible endpoints, shared by plugins that call one.

Read ``connection`` (where it is and how it is reached), ``asking`` (one call), ``pace`` (how many
at once) and ``faults`` (what is tried again).
"""
