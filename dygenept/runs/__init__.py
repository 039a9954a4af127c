"""The walk: one module per command that runs something, and what they share.

Read first what all share: ``run_context`` opens a data set, splits it and prepares its metrics;
``jobs``, ``model_answers`` and ``scored_job`` fit, predict, score and record one model on one fold,
under the key and the seed of ``keys_and_seeds``. Then ``runner`` (bench), with ``default_models``,
``readiness``, ``executors`` and ``ray_executor``; what it gives back is a ``bench_result`` in
Python and a ``document`` in JSON. Then ``train``, ``predict`` and ``explain``, which write and read
a ``saved_model`` (``loaded_model`` in Python; ``asked`` is what they are asked to predict),
``embed``, ``score``, ``score_checkpoint``, ``rerun``, ``reproduce``, ``suites`` and ``doctor``.
``api`` is what ``import dygenept`` offers of all this; ``handed_over`` takes its objects.
``metric_choice`` chooses the metrics of a run and prepares what they read. ``plan``, ``plan_jobs``,
``plan_models``, ``plan_costs`` and ``plan_coefficients`` are ``bench --dry-run``; ``ray_executor``
stands on ``ray_pool`` and ``worker_pool``. ``sweep``, ``wanted_state`` and ``ranking`` predict and
rank the perturbations of a list of genes; ``attacks`` and ``audit`` are ``metrics audit``;
``prepare`` and ``gpu_check`` are commands of their own.
"""
