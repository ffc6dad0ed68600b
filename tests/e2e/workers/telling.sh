# A native worker that first tells, as only a shell leaves all of it alone, with which signals and limit it was started.
grep -E '^Sig(Blk|Ign):' /proc/$$/status
echo "limit: $(ulimit -Sn)"
exec python3 workers/native.py
