"""What the machine gives: files, folders, downloads, locks, threads, devices and processes.

Nothing here knows a data set, a plugin or a model. Read in this order: ``folders`` (where things
live), ``places`` and ``whole_files`` (where a file may go, and how it is whole or absent),
``scratch`` (temporary files in place of memory), ``file_kinds`` (what a file is by its first
bytes), ``reading`` (whatever is damaged becomes one line), ``download`` with ``http_clients``
(files of others), ``archives``, ``file_checks`` and ``checksums`` (are they what they should be),
``fetched_files`` (all of this in order), ``locks`` (one job, one run), ``threads`` and ``devices``
(what computes), ``processes`` (one job in several processes), ``collectives`` (what they tell each
other), ``stopping`` with ``stop_watcher`` (how a process ends early), ``progress`` (bars on
stderr), ``plain_text`` and ``terminal`` (names of others as text that nothing obeys, and numbers
for people), ``amounts`` (of memory, as people write them), ``versions`` (what a record says of all
this). ``process_memory`` measures this process and gives memory back, ``hdf5_files`` writes HDF5 so
that a full disk ends in an error, ``tables`` holds large arrays in memory or in files, and
``table_products`` multiplies and decomposes them in blocks.
"""
