"""Text encoders that ship with DyGenePT, one file each.

``tfidf`` and ``minilm`` work offline; ``biomedbert`` and ``biolord`` need weights, and ``api``
needs a server.
"""
