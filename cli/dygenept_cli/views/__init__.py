"""What commands draw: nothing here runs a model or reads an option.

``listing`` makes plain tables and lists of facts. Leaderboards go through ``boards`` (chosen from a
results folder and written in any format), ``board_tables`` (fitted to the terminal) and
``published`` (quoted figures beside them). ``assets`` and ``plugin_details`` describe one thing.
"""
