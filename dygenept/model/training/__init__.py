"""Training by gradient steps, which resumes bit by bit and runs in several processes.

Read in this order: ``options`` (how to train), ``loop`` (epochs, validation, early stopping),
``batches`` (what a step draws) and ``prefetch`` (drawn ahead by a thread), ``optimisation``
(optimiser, learning rate, averaged weights), ``precision`` (precision, memory, compilation) and
``checkpoint`` (a training on disk). ``device_check`` and ``synthetic`` compare a device with the
CPU.
"""
