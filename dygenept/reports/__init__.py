"""What people look at: pages, plots, tables for papers, sites, derived from boards and records.

Read ``page`` first: a leaderboard as one HTML file, from ``page_table`` (what is there without a
script), ``page_data`` (what its script reads) and the templates. ``scores``, ``changes`` and
``model_facts`` are what pages and plots show behind a board's rows; ``packed`` makes it small.
``per_perturbation`` has single scores, ``paper_tables`` and ``citations`` are for papers, ``site``
puts the pages of a folder together, ``screen_page`` shows a prepared screen, and ``plots`` draws.
``finding`` sums a board up in a sentence or two.
"""
