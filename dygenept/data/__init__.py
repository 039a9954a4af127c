"""Reading perturbation data: AnnData files, labels, pseudobulk means and DE genes."""
