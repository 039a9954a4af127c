"""Knowledge-graph sources that ship with DyGenePT: one file each, and one for the user's files."""
