#!/bin/bash
# A catalogue on a cluster with Slurm: sbatch deploy/slurm.sh
# /shop is on a file system that all nodes see. When its time is up the job is queued again, and goes on.
#SBATCH --job-name=packshot-catalog
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/.ray/auth_token"  # a home folder that all nodes see
[ -f "$RAY_AUTH_TOKEN_PATH" ] || { umask 077; mkdir -p "$HOME/.ray"; head -c 32 /dev/urandom | base64 > "$RAY_AUTH_TOKEN_PATH"; }

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$head" --port=6390 --disable-usage-stats --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$head:6390" --block &
    sleep 20
fi
packshot catalog /shop/products.csv --out /shop/catalogue --base /shop/base.safetensors --address "$head:6390"
