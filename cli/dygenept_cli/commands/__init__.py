"""One module per command or group of commands, named as on the command line.

A command takes records of flags, builds one request, calls one function of the core and hands the
result to a view or prints it as JSON. Read ``bench`` first, the longest; no command imports
another, and each imports the core inside the function, so that ``--help`` stays quick.
"""
