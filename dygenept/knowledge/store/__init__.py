"""Vectors and knowledge on disk.

Read ``embedding`` (each text is embedded once) with ``embedding_cache``, ``knowledge_files`` (the
files that models read), ``vector_files`` (step 3's artefact) and ``formats`` (files of other
projects).
"""
