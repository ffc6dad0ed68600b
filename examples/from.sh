# What from_*/run share; sourced by sh with $here set to the example's folder.
# shellcheck shell=sh disable=SC2154
top=$(cd "$here/../.." && pwd)
. "$top/tests/lib.sh"

# serve FLAG… -- PROGRAM…: start limpet with them, on $PORT (3000 unless told). LIMPET_BUILD is where limpet was built; by
# default build/ at the top.
serve() {
	export LIMPET_BUILD="${LIMPET_BUILD:-$top/build}"
	if [ ! -x "$LIMPET_BUILD/limpet" ]; then
		exec "$top/examples/run" "${here##*/}"
	fi
	need_node
	install_missing
	npm_packages "$here"

	cd "$here" || exit
	set -- run --listen "127.0.0.1:${PORT:-3000}" --workers 4 --drain-timeout 2s "$@"
	echo "limpet $*"
	exec "$LIMPET_BUILD/limpet" "$@"
}
