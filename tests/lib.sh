# What examples/run and the scripts of tests/ share; sourced by sh with $top set to the top folder.
# shellcheck shell=sh
#
# What is there already is left alone, and with everything there the network is not touched. Commands, headers and
# pkg-config modules are looked for rather than packages: Node may have come from elsewhere than the distribution.

missing=

# is_command NAME PACKAGE; is_module NAME PACKAGE; is_file PATH PACKAGE: if it is not there, the package is missing.
is_command() {
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
is_module() {
	pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"
}
is_file() {
	[ -e "$1" ] || missing="$missing $2"
}

need_build() {
	is_command cc gcc
	is_file /usr/include/stdio.h libc6-dev
	is_command cmake cmake
	is_command ninja ninja-build
	is_command pkg-config pkg-config
	is_module libuv libuv1-dev
	is_module luajit libluajit-5.1-dev
	is_module jansson libjansson-dev
	[ -e /usr/share/llhttp/llhttp.c ] || is_module libllhttp llhttp
}

need_node() {
	is_command node nodejs
	is_command npm npm
}

# What unit, policy and house tests are run with.
need_quick_tests() {
	is_module cmocka libcmocka-dev
	is_command python3 python3
	is_command clang-format clang-format
	is_command lowdown lowdown
	is_command groff groff-base
	is_command zsh zsh
	is_command fish fish
}

need_tests() {
	need_quick_tests
	is_command chromium chromium
	is_command wrk wrk
	is_command valgrind valgrind
	is_command promtool prometheus
	is_command lintian lintian
	is_command dpkg-shlibdeps dpkg-dev
	is_command file file
	is_command systemd-analyze systemd
	is_command tmux tmux
	is_command spin spin
	is_command gunicorn gunicorn
	is_command uvicorn uvicorn
	is_command puma puma
	is_command daphne daphne
	is_command php php-cli
	[ -e /usr/sbin/nginx ] || is_command nginx nginx-light
	[ -e /usr/sbin/haproxy ] || is_command haproxy haproxy
	for module in eventlet gevent socketio flask_socketio uvloop aiohttp; do
		is_file "/usr/lib/python3/dist-packages/$module" "python3-$(echo $module | tr _ -)"
	done
	is_file /usr/lib/python3/dist-packages/geventwebsocket python3-gevent-websocket
}

need_fuzz() {
	is_command clang clang
	if [ ! -e "$(clang -print-file-name="libclang_rt.fuzzer-$(uname -m).a" 2>/dev/null)" ]; then
		missing="$missing libclang-rt-14-dev"
	fi
}

# Install what the need_… before this found missing.
install_missing() {
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "Please install, under the names of your distribution:$missing" >&2
		exit 1
	fi
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null 2>&1; then
			echo "Please install, as root: apt-get install --no-install-recommends$missing" >&2
			exit 1
		fi
		as_root=sudo
	fi
	echo "Installing:$missing"
	$as_root apt-get -qq -o Acquire::Retries=3 update
	# llhttp is a library from Debian 13 on; before, its sources come with a package of Node's.
	case " $missing " in
	*" llhttp "*)
		llhttp=node-llhttp
		if apt-cache show libllhttp-dev >/dev/null 2>&1; then
			llhttp=libllhttp-dev
		fi
		missing=$(echo "$missing" | sed "s/ llhttp/ $llhttp/")
		;;
	esac
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install $missing >/dev/null
	missing=
}

# npm_packages FOLDER: what its package-lock.json says, unless that is there already. npm writes the file that is looked
# at last, so an interrupted installation is begun again.
npm_packages() {
	# shellcheck disable=SC3013 # No standard has -nt, and every sh.
	if [ ! "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; then
		echo "Installing the npm packages of ${1#"$top"/}"
		npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
	fi
}

# build FOLDER [CMAKE ARGUMENT…]: configure it, and build all that is configured there.
build() {
	folder=$1
	shift
	if ! log=$(cmake -S "$top" -B "$folder" -G Ninja "$@" 2>&1); then
		printf '%s\n' "$log" >&2
		exit 1
	fi
	cmake --build "$folder"
}

# build_fuzz FOLDER: the targets of tests/fuzz.
build_fuzz() {
	build "$1" -DCMAKE_C_COMPILER=clang -DBUILD_TESTING=ON -DLIMPET_FUZZ=ON -DLIMPET_SANITIZE=address,undefined \
		-DLIMPET_WERROR="${LIMPET_WERROR:-OFF}"
}
