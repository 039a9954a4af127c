"""The DyGenePT command line, the only place that knows Typer.

Read ``main`` first (the commands, and errors as one line), then ``options`` (flags that several
commands share) and ``context`` (the environment that each command begins with). A command reads
its flags, calls one function of the core, and shows what that returns.
"""
