"""Gene knowledge: gene tables, facets, text embeddings and their store."""
