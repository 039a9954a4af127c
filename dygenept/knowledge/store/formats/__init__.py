"""Gene knowledge in other projects' file formats, read and written without running their code."""
