"""Knowledge-graph sources that ship with DyGenePT, one file each."""
