"""``dygenept precompute``: from genes to a knowledge file, in steps that are each kept on disk.

Read ``request`` (what is asked for, and which steps it takes), ``pipeline`` (the steps 1 to 4),
``manifests`` (what is kept beside an artefact, which one a step reads, and when it is kept) and
``tensor`` (step 4: imputed, with the origin of every facet).
"""
