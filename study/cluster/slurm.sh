#!/bin/bash
# A study on Slurm: a Ray cluster inside one job, on any number of nodes.
#
#   sbatch study/cluster/slurm.sh --dataset mars --data-root /scratch/MARS --samples 50 --name mars
#   sbatch --nodes=4 --gpus-per-node=2 study/cluster/slurm.sh …      # Slurm's options come first
#   python -m study status mars
#
# from the root of this repository, on a file system that all nodes see, with the environment in .venv
# (or DCREID_VENV). All options after the script go to study/run.py; --studies (default: studies/ here) must
# be on that file system too. Packed frames go to the node's own disk (--cache, below).
#
# Five minutes before the time limit, and when the job is preempted, the study stops between two reports
# and the job goes back into the queue, with the same command, until every trial is done. A node that fails
# takes its trials' merge steps under way with it, and nothing else.

#SBATCH --job-name=dcreid
#SBATCH --output=dcreid-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@300
#SBATCH --no-kill

set -euo pipefail

cd "${SLURM_SUBMIT_DIR:-.}"
# shellcheck disable=SC1091
source "${DCREID_VENV:-.venv}/bin/activate"

# --- one Ray node per Slurm node, as one job step

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=$((20000 + SLURM_JOB_ID % 20000))
address="${nodes[0]}:$port"
cache="/tmp/dcreid-${USER:-$(id -u)}"
# Only this job's processes may give its cluster commands, whoever else is on these machines.
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
# Folders of Ray's in /tmp belong to whoever came first.
export RAY_FOLDER="/tmp/ray-$SLURM_JOB_ID" RAY_HEAD_ADDRESS="$address"

# shellcheck disable=SC2016  # expanded on the nodes
ray_node='
options=(--block --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}")
options+=(--temp-dir="$RAY_FOLDER" --disable-usage-stats)
if [ "$SLURM_PROCID" = 0 ]; then
  exec ray start --head --port="${RAY_HEAD_ADDRESS##*:}" --include-dashboard=false "${options[@]}"
fi
until ray health-check --address "$RAY_HEAD_ADDRESS" >/dev/null 2>&1; do sleep 2; done
exec ray start --address="$RAY_HEAD_ADDRESS" "${options[@]}"
'
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
  --cpus-per-task="$SLURM_CPUS_PER_TASK" --no-kill --kill-on-bad-exit=0 bash -c "$ray_node" &
cluster=$!
until ray health-check --address "$address" >/dev/null 2>&1; do
  kill -0 "$cluster" || { echo "the Ray cluster did not start" >&2; exit 1; }
  sleep 2
done

# --- the driver, beside the head; nodes that are slower to come join it

stopped='' early='' driver=''
stop() {
  stopped=yes signalled=yes
  if [ -n "$driver" ]; then kill -TERM "$driver" 2>/dev/null || true; else early=yes; fi
}
trap stop TERM
python study/run.py --address "$address" --cache "$cache" "$@" &
driver=$!
[ -z "$early" ] || kill -TERM "$driver" 2>/dev/null || true # the signal came before its number was known
signalled=yes
while [ -n "$signalled" ]; do # a signal ends the wait, not the driver
  signalled='' status=0
  wait "$driver" || status=$?
done
kill "$cluster" 2>/dev/null || true
wait "$cluster" 2>/dev/null || true

# 0: complete; 2: an option or the data are wrong. When Slurm preempts, it queues the job again itself.
if [ -n "$stopped" ] && [ "$status" != 0 ] && [ "$status" != 2 ]; then
  echo "stopped; queued again"
  scontrol requeue "$SLURM_JOB_ID" || true
fi
exit "$status"
