# shellcheck shell=dash
# A native worker that first tells, as only a shell leaves all of it alone, with which signals and limit it was started: as
# grep has them from the shell, which blocks signals itself while it starts a program.
grep -E '^Sig(Blk|Ign):' /proc/self/status
echo "limit: $(ulimit -Sn)"
exec python3 workers/native.py
