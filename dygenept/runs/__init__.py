"""The walk: one module per command that runs something, and what they share.

Read first what all share: ``run_context`` opens a data set, splits it and prepares its metrics;
``jobs`` and ``scored_job`` fit, predict, score and record one model on one fold, under the key
and the seed of ``job_identity``. Then ``runner`` (bench), with ``default_models``, ``readiness``
and the executors; then ``train``, ``predict``, ``explain``, ``embed``, ``score``, ``rerun``,
``reproduce``, ``suites`` and ``doctor``.
"""
