"""The DyGenePT model: its network, how it starts, trains and predicts, and how it is assembled.

Read in this order: ``network`` (the whole forward pass, with shapes), ``conditions`` and
``control_pool`` (what goes in), ``start`` (the closed-form start), ``training`` (gradient steps),
``prediction`` (what comes out), ``fitting`` (one member after the other) and ``estimator`` (fit,
predict, explain, save). ``fitted_state`` is a trained model on disk, ``choices`` what it settled on
itself, ``judged_steps`` whether gradient steps help, ``losses`` and ``seeds`` what they say, and
``shared_start`` gives several processes one start.
``resolve`` turns a model's name into something to fit, out of ``baselines`` or of ``assembly_text``
(what YAML says), ``overrides`` (what flags change), ``assembly`` (the validated ``Assembly``) and
``knowledge`` (its facets); ``given`` does so for an object that is handed over, which
``object_state`` tells from others, and ``ablations`` lists the variants of an ablation.
``combinations`` predicts many combinations of the same genes, ``contributions`` says what the
cell's state adds, ``facet_contribution`` what facets add, ``type_readout`` what a cell type adds,
and ``original_names`` reads the original model's configuration.
"""
