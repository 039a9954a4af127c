"""What runs leave behind, and what others submit.

Read ``records`` first (what one job records) with ``provenance`` (its cells, split, plugins and
code), then ``store`` (the folder of records and kept predictions) with ``wide_tables`` (the same
under a limit on memory), ``kept`` (one model's predictions over all folds), ``truth`` (what was
measured) and ``top_changes`` (what pages show of both). ``submission``, ``submission_readers`` and
``submission_match`` take in predictions of any origin; ``cell_eval`` writes ours for another tool.
``record_index`` keeps what records are about, so that not all are read each time.
``submission_names`` says what a submission may be called, and ``submission_scale`` whether its
values are on the right scale.
"""
