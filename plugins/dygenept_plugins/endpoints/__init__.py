"""OpenAI-compatible endpoints, shared by plugins that call one.

Read ``connection`` (where it is and how it is reached), ``asking`` (options, and one call with as
many attempts as that takes) and ``faults`` (what can go wrong, and what is tried again).
"""
