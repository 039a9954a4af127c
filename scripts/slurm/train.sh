#!/bin/bash
# One training that all processes of several nodes share.
#
#   sbatch --nodes 2 --gpus-per-node 8 scripts/slurm/train.sh --dataset k562 --model dygenept --output /shared/model
#
# A node runs as many processes as it has GPUs; PROCESSES says otherwise. A job that is requeued, or
# submitted again with the same options, goes on from the last checkpoint.
#SBATCH --job-name=dygenept-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

# Not by `head`: it closes the pipe, and scontrol would end the script with it.
read -r head < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:-1}}
# c10d elects no head: the processes meet on the first node. Its port is the job's own.
srun --kill-on-bad-exit=1 torchrun --nnodes "$SLURM_JOB_NUM_NODES" --nproc_per_node "$processes" \
    --rdzv_id "$SLURM_JOB_ID" --rdzv_backend c10d \
    --rdzv_endpoint "$head:$((20000 + SLURM_JOB_ID % 10000))" \
    -m dygenept_cli.main train "$@"
