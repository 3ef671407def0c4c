#!/usr/bin/env bash
# A whole study as one SLURM job: Ray starts on every node, the study runs on the first, Ray ends with it.
# Edit: the #SBATCH lines (nodes, GPUs and CPUs of a node, time) and how the environment is entered, where it says so.
# Use, from the top of a checkout on a file system that all nodes share:
#   sbatch cluster/slurm.sh all --grid GRID --data /shared/images --results /shared/results
# The same command once more goes on from what is in RESULTS, as after the time limit.
#SBATCH --job-name=closerlook
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=4
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=closerlook-%j.log
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
source .venv/bin/activate # edit: the environment with closerlook[engine]

# A token for this job alone: the nodes' ports are open to everyone on the network.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/closerlook_$SLURM_JOB_ID"
(umask 077 && mkdir -p "$HOME/.ray" && python -c "import secrets; print(secrets.token_hex(32), end='')" >"$RAY_AUTH_TOKEN_PATH")
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

export RAY_USAGE_STATS_ENABLED=0 PYTHONUNBUFFERED=1
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # the usual 30 s is too short for Python on a cold file system
head="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):6379"

# RAY_ADDRESS is for the study only; Ray's own start must not see it.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$head" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_PER_TASK" \
    -- env RAY_ADDRESS="$head" python -m studies "$@"
