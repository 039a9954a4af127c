#!/bin/bash
# A Ray cluster on the nodes of a job, and a bench on it; it ends with the job.
#
#   sbatch --nodes 4 --cpus-per-task 16 --gpus-per-node 8 scripts/slurm/ray.sh \
#       --dataset k562 --model dygenept --jobs 8 --ranks 4 --results /shared/results
#
# --jobs times --ranks processes run at once, a CPU each, and a GPU each where there are any. A job
# that is submitted again with the same options keeps what is recorded.
#SBATCH --job-name=dygenept-ray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# This script runs on the first node.
address=${RAY_HEAD_ADDRESS:-$(hostname --ip-address | awk '{print $1}')}
port=$((20000 + SLURM_JOB_ID % 10000))
cpus=${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}
gpus=${SLURM_GPUS_ON_NODE:-0}
common=(--num-cpus "$cpus" --num-gpus "$gpus" --disable-usage-stats --block)

# Not `ray stop` at the end: it would stop whatever else this user runs on the node by Ray.
ray start --head --node-ip-address "$address" --port "$port" --include-dashboard false \
    --temp-dir "/tmp/ray-$SLURM_JOB_ID" "${common[@]}" &
running=($!)
trap 'kill "${running[@]}"; wait' EXIT
until ray health-check --address "$address:$port"; do
    kill -0 "${running[0]}"
    sleep 5
done
if ((${#nodes[@]} > 1)); then
    others=$((${#nodes[@]} - 1))
    srun --nodes "$others" --ntasks "$others" --exclude "${nodes[0]}" \
        ray start --address "$address:$port" "${common[@]}" &
    running+=($!)
fi
# Jobs wait for nodes that are not up yet.
RAY_ADDRESS=$address:$port dygenept bench --executor ray "$@"
