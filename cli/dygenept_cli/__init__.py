"""The command line ``dygenept``: commands that parse, call one function of the core, and show.

``main`` names the commands and turns errors into one line. ``commands`` has one module per command
or group of commands; ``views`` draws what they show; ``flags`` turns options into what the core
takes. ``console`` is where output goes, and ``bundled`` finds what ships with the package.
"""
