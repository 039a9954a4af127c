"""From the command line's options to what the core takes.

``records`` lets a command take frozen records whose fields are options. ``options`` declares what
several commands share; ``environment``, ``benchmark`` and ``models`` group options
into such records, each with methods that build an environment, a request or overrides.
"""
