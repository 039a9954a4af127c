#!/bin/bash
# A bench shared by the tasks of a job array: each takes jobs (a model on a fold) that no other has.
#
#   sbatch --array 0-9 scripts/slurm/folds.sh --dataset k562 --model ridge_go --model dygenept --results /shared/results
#
# All tasks run the same command. Locks in the results folder keep two of them from one job, so its file
# system must know locks (NFS 4, Lustre mounted with flock); without them a job may be computed
# twice, with the same outcome. Every task ends once all jobs are recorded, and prints the board.
#SBATCH --job-name=dygenept-folds
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

srun dygenept bench "$@"
