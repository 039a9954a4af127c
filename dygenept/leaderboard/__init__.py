"""Boards, derived from result records and never edited.

Read ``columns`` first: every kind of board declares its columns once, and every format shows them.
``rows`` (with ``metric_table``, ``score_grid``, ``judgements`` and ``echoes``) derives a
leaderboard, ``counts`` says what its rows are of and ``notes`` what belongs beside it, ``groups``
derives its parts and ``across_seeds`` the spread over seeds; ``comparisons`` sets models against
each other and ``published`` quotes papers.
``boards`` puts a board together, ``wide`` lays it out, and ``formats`` writes it; pages and plots
are made of it in the room of reports. ``calibration`` says which metrics can tell models apart
here, ``saturation`` what simple models already reach, ``metric_audit`` what a metric is worth, and
``challenge`` computes the score of the Virtual Cell Challenge. ``board_key`` says which records
share a board, and which a run's board shows.
"""
