"""Models that run in an environment and a process of their own; ``docs/isolated.md``.

Read in this order: ``environment`` (what a plugin declares), ``building`` (making and finding it),
``model`` (what a plugin's factory returns), ``handover`` (the files that the child reads),
``child`` and ``supervise`` (running it), ``answer`` (the files that it writes). ``for_child`` is
what a child written in Python may import.
"""
