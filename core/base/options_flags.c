/*
 * The commands and their flags: these tables contain everything about a flag.
 *
 * Values are checked as far as text tells (and a host's name, which is looked up), so that a mistake is named before
 * anything is bound or started. That a policy's file exists, or a program, is seen by those who open it. Base knows
 * neither dialects nor policies, so their names stand here a second time; test_options.c compares them.
 */
#include "base/options_flags.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/control_path.h"
#include "base/privileges.h"
#include "base/session_rule.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FIELD(name) .field = offsetof(struct lp_command_line, options.name)
#define LIST(which, name, length)                                                                                      \
	FIELD(name), .list = (which), .count = offsetof(struct lp_command_line, options.length)
#define TOOL(name) .field = offsetof(struct lp_command_line, tool.name)
#define TOOL_LIST(which, name, length)                                                                                 \
	TOOL(name), .list = (which), .count = offsetof(struct lp_command_line, tool.length)

static const char *const dialects[] = {
	"auto", "cluster", "socket.io-sticky", "sticky-session", "socketio-sticky-session", "native", "preload",
	"node", NULL,
};
static const char *const serializations[] = {"json", "advanced", NULL};
static const char *const stops[] = {
	"auto", "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR2", "SIGWINCH", "shutdown", NULL,
};
static const char *const forwarded_headers[] = {"x-forwarded-for", "forwarded", "x-real-ip", NULL};
static const char *const keepers[] = {"on", "off", NULL};
static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

static int check_listen(const char *value, struct lp_error *error)
{
	struct lp_listen_address address;

	return lp_listen_address_parse(value, &address, error);
}

static int check_policy(const char *value, struct lp_error *error)
{
	if (*value)
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"\" is neither a file nor an included policy, such as sid");
}

/* Something, a = and anything. `first` is what the something is, `form` how it is all written. */
static int check_pair(const char *value, const char *first, const char *form, struct lp_error *error)
{
	if (*value == '=')
		return lp_error_set(error, LP_EUSAGE, "\"%s\" has no %s before the =; write it as %s", value, first,
				    form);
	return strchr(value, '=') ? 0 : lp_error_set(error, LP_EUSAGE, "\"%s\" has no =; write it as %s", value, form);
}

static int check_setting(const char *value, struct lp_error *error)
{
	return check_pair(value, "key", "key=value", error);
}

static int check_variable(const char *value, struct lp_error *error)
{
	static const char *const taken[] = {"LIMPET_", "NODE_CHANNEL_", "NODE_UNIQUE_ID="};
	int status = check_pair(value, "name", "NAME=value", error);
	for (size_t i = 0; !status && i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strncmp(value, taken[i], strlen(taken[i])) == 0)
			return lp_error_set(error, LP_EUSAGE, "%.*s is limpet's own to set; use another name",
					    (int)strcspn(value, "="), value);
	return status;
}

static int check_learn(const char *value, struct lp_error *error)
{
	unsigned count = 0;
	for (const char *at = value; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
		int length = (int)strcspn(at, ",");
		bool known = strncmp(at, "cookie:", 7) == 0 || strncmp(at, "header:", 7) == 0;
		if (!known || length <= 7 || length > 7 + LP_SESSION_NAME_MAX)
			return lp_error_set(
				error, LP_EUSAGE,
				"\"%.*s\" is neither cookie:NAME nor header:NAME, such as cookie:JSESSIONID", length,
				at);
		if (++count > LP_SESSION_LEARNT_MAX)
			return lp_error_set(error, LP_EUSAGE, "names more than %d cookies and headers",
					    LP_SESSION_LEARNT_MAX);
	}
	return 0;
}

static int check_network(const char *value, struct lp_error *error)
{
	struct lp_network network;

	return lp_network_parse(value, &network, error);
}

static int check_ip(const char *value, struct lp_error *error)
{
	struct lp_ip ip;

	if (lp_ip_parse(value, strlen(value), &ip) == 0)
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"%s\" is no address, such as 192.0.2.1 or 2001:db8::1", value);
}

/* As far as a mistake is likely; the parser of heads has the last word. */
static int check_header(const char *value, struct lp_error *error)
{
	const char *colon = strchr(value, ':');

	if (colon && colon != value && colon[-1] != ' ')
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"%s\" is no header; write it as \"Name: value\"", value);
}

static int check_path(const char *value, struct lp_error *error)
{
	if (*value == '/' && !strchr(value, ' '))
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"%s\" is no path; it begins with / and has no blanks", value);
}

static int check_session_rule(const char *value, struct lp_error *error)
{
	struct lp_session_rule rule;

	return lp_session_rule_parse(value, &rule, error);
}

/* What run's --session takes, or a session and its worker. */
static int check_known_session(const char *value, struct lp_error *error)
{
	const char *equals = strrchr(value, '=');
	size_t digits = equals ? strspn(equals + 1, "0123456789") : 0;

	if (equals && equals != value && digits > 0 && digits < 4 && !equals[1 + digits] && equals[1] != '0')
		return 0;
	if (!equals || strchr(value, ':'))
		return check_session_rule(value, error);
	return lp_error_set(error, LP_EUSAGE, "\"%s\" is not SID=ID, a session and its worker's number, such as abc=2",
			    value);
}

static int check_control(const char *value, struct lp_error *error)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (*value && strlen(value) <= most)
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"%s\" is not the path of a unix socket, 1 to %zu bytes", value, most);
}

static int check_name(const char *value, struct lp_error *error)
{
	if (lp_control_is_name(value))
		return 0;
	return lp_error_set(error, LP_EUSAGE,
			    "\"%s\" is no name; use 1 to %d letters, digits, dots, underscores and dashes, the first a "
			    "letter or a digit",
			    value, LP_CONTROL_NAME_MAX);
}

static int check_user(const char *value, struct lp_error *error)
{
	struct lp_user user;

	return lp_user_find(value, &user, error);
}

/* clang-format off */
#define HEADING(text) {.kind = LP_FLAG_HEADING, .name = (text)}

/* Flags of several commands. */
#define SETTING_FLAG \
	{LP_FLAG_LIST, "--set", "KEY=VALUE", LIST(LP_FLAG_SETTINGS, settings, setting_count), .check = check_setting, \
	 .help = "an option for the policies, which read it in setup(options); repeatable"}
#define TRUST_FLAG \
	{LP_FLAG_LIST, "--trust", "CIDR", LIST(LP_FLAG_TRUSTED, trusted, trusted_count), .check = check_network, \
	 .help = "addresses of proxies that limpet trusts to name the client, such as 10.0.0.0/8; repeatable"}
#define FORWARDED_FLAG \
	{LP_FLAG_CHOICE, "--forwarded-header", "NAME", FIELD(forwarded_header), .choices = forwarded_headers, \
	 .help = "the header in which trusted proxies name the client; limpet reads no other"}

#define CONFIG_FLAG \
	{LP_FLAG_TEXT, "--config", "FILE", FIELD(config), \
	 .help = "a file with these flags, without their dashes, one per line; flags of the command line take precedence. A line " \
		 "with -- and the program may end it; lines that begin with # are comments"}

static const struct lp_flag run_flags[] = {
	HEADING("Most used"),
	{LP_FLAG_LIST, "--listen", "ADDRESS", LIST(LP_FLAG_LISTEN, listen, listen_count), .check = check_listen,
	 .help = "accept connections at :PORT (IPv4 and IPv6), HOST:PORT, [IPV6]:PORT or unix:/PATH; required, repeatable. "
		 "unix:/PATH,mode=660,user=NAME,group=NAME says who may connect"},
	{LP_FLAG_NUMBER, "--workers", "N", FIELD(workers), .least = 1, .most = LIMPET_WORKERS_MAX,
	 .help = "how many processes run the program (default one per processor)"},
	{LP_FLAG_LIST, "--session", "WHAT", LIST(LP_FLAG_SESSIONS, sessions, session_count),
	 .check = check_session_rule,
	 .help = "keep each session at the worker that opened it. WHAT says where requests carry the session: sid (Socket.IO), "
		 "mcp, cookie:NAME, header:NAME or query:NAME; header:X-Token=query:token where a response names it in "
		 "another place; repeatable"},
	{LP_FLAG_LIST, "--policy", "NAME|FILE", LIST(LP_FLAG_POLICIES, policies, policy_count), .check = check_policy,
	 .help = "what chooses the worker: a Lua file, such as ./mine.lua, or one of sid, session, sid_tag, ip_hash, bounded_hash, "
		 "forwarded_for, least_connections, least_sessions, round_robin, random. Repeatable: the first with an "
		 "opinion decides; without one, the least busy worker gets the connection"},
	SETTING_FLAG,
	TRUST_FLAG,
	CONFIG_FLAG,

	HEADING("Workers"),
	{LP_FLAG_CHOICE, "--dialect", "NAME", FIELD(dialect), .choices = dialects,
	 .help = "how workers take connections; auto, the default, goes by what each process does: see limpet-dialects(7)"},
	{LP_FLAG_LIST, "--worker-env", "NAME=VALUE", LIST(LP_FLAG_WORKER_ENV, worker_env, worker_env_count),
	 .check = check_variable,
	 .help = "a variable in each worker's environment; %u in it becomes the worker's number from 1, %i the same "
		 "from 0, %n how many there are; repeatable"},
	{LP_FLAG_ON, "--worker-prefix", NULL, FIELD(worker_prefix),
	 .help = "put the worker's number before each line that it prints"},
	{LP_FLAG_CHOICE, "--keeper", "NAME", TOOL(keeper), .choices = keepers,
	 .help = "on: a second process holds listeners and workers, so that they outlive a balancer that dies "
		 "(limpet-reliability(7)); off: limpet is one process"},
	{LP_FLAG_TEXT, "--user", "NAME[:GROUP]", FIELD(user), .check = check_user,
	 .help = "user to switch to after binding; applies to workers as well. Policies must be readable for that user"},
	{LP_FLAG_ON, "--wait-ready", NULL, FIELD(wait_ready),
	 .help = "a Node worker gets connections only after process.send('ready'), as with pm2's wait_ready"},
	{LP_FLAG_CHOICE, "--stop-with", "NAME", FIELD(stop_with), .choices = stops,
	 .help = "how workers are told to finish when limpet stops; shutdown is a message to Node workers"},
	{LP_FLAG_DURATION, "--start-timeout", "TIME", FIELD(start_timeout_ms), .least = 0, .most = 86400000,
	 .help = "give up, with exit status 1, if no worker was ever ready for this long and each has ended 5 times; 0: never"},
	{LP_FLAG_DURATION, "--drain-timeout", "TIME", FIELD(drain_timeout_ms), .least = 0, .most = 86400000,
	 .help = "how long workers may take to finish after TERM, or after they have disconnected; then limpet ends them"},
	{LP_FLAG_DURATION, "--ack-timeout", "TIME", FIELD(ack_timeout_ms), .least = 0, .most = 3600000,
	 .help = "send no new connections to a worker that accepts none of its connections for this long, until it does; 0: never"},
	{LP_FLAG_DURATION, "--kill-stuck", "TIME", FIELD(kill_stuck_ms), .least = 0, .most = 86400000,
	 .help = "kill a worker that accepts none of its connections for this long, and hand them to others; 0: never"},
	{LP_FLAG_CHOICE, "--node-serialization", "NAME", FIELD(node_serialization), .choices = serializations,
	 .help = "format of messages between Node workers; with advanced, Buffers stay Buffers"},
	{LP_FLAG_TEXT, "--preload-dir", "FOLDER", FIELD(preload_dir),
	 .help = "folder in which workers of the dialects node and preload find limpet (default /run/limpet, or the user's own)"},

	HEADING("Decisions"),
	FORWARDED_FLAG,
	{LP_FLAG_TEXT, "--learn", "WHAT", FIELD(learn), .check = check_learn,
	 .help = "also learn sessions from this part of responses, for policies that look them up themselves: cookie:NAME or "
		 "header:NAME, separated by commas; --session includes this"},
	{LP_FLAG_DURATION, "--session-wait", "TIME", FIELD(session_wait_ms), .least = 0, .most = 10000,
	 .help = "how long to wait for workers to say whether they have a session that limpet does not know"},
	{LP_FLAG_NUMBER, "--max-sessions", "N", FIELD(max_sessions), .least = 1, .most = 100000000,
	 .help = "how many sessions limpet remembers; beyond that it forgets the least recently used one"},
	{LP_FLAG_NUMBER, "--max-moved", "PERCENT", FIELD(max_moved), .least = 0, .most = 100,
	 .help = "refuse a reload that would send more of the recent clients to another worker"},
	{LP_FLAG_DURATION, "--policy-time", "TIME", FIELD(policy_time_ms), .least = 1, .most = 10000,
	 .help = "how long a policy's hook may run before limpet stops it"},
	{LP_FLAG_BYTES, "--policy-memory", "BYTES", FIELD(policy_memory_bytes), .least = 1 << 20, .most = 1 << 30,
	 .help = "how much memory all policies may use together"},

	HEADING("Limits"),
	{LP_FLAG_DURATION, "--head-timeout", "TIME", FIELD(head_timeout_ms), .least = 1, .most = 3600000,
	 .help = "how long a client may take to send its request head"},
	{LP_FLAG_BYTES, "--max-head", "BYTES", FIELD(max_head_bytes), .least = 256, .most = 1048576,
	 .help = "the longest request head; limpet answers a longer one with 431"},
	{LP_FLAG_NUMBER, "--max-waiting", "N", FIELD(max_waiting), .least = 1, .most = 1000000,
	 .help = "how many connections may wait for a head, a session or a worker"},
	{LP_FLAG_NUMBER, "--max-per-ip", "N", FIELD(max_per_ip), .least = 0, .most = 1000000,
	 .help = "how many connections of one address (of an IPv6 /64) may wait for their heads; further ones are closed. "
		 "Those that wait for a session or a worker wait on, but beyond that number they are the first to make room "
		 "when --max-waiting is reached. Trusted proxies and unix sockets are exempt; 0: no limit"},
	{LP_FLAG_NUMBER, "--max-rate-per-ip", "N", FIELD(max_rate_per_ip), .least = 0, .most = 1000000,
	 .help = "how many connections one address may open per second, and at once; further ones are closed. The same are "
		 "exempt; 0, the default: no limit"},
	{LP_FLAG_NUMBER, "--backlog", "N", FIELD(backlog), .least = 1, .most = 1000000,
	 .help = "how many connections the kernel holds until they are accepted"},
	{LP_FLAG_OFF, "--no-defer-accept", NULL, FIELD(defer_accept),
	 .help = "accept before the client has sent a byte, for protocols in which the server sends first"},

	HEADING("Watching it"),
	{LP_FLAG_TEXT, "--name", "NAME", FIELD(name), .check = check_name,
	 .help = "name of this balancer for limpet status, reload and similar commands (default the first listener's port)"},
	{LP_FLAG_TEXT, "--control", "PATH", FIELD(control), .check = check_control,
	 .help = "the unix socket for these commands (default NAME.control in /run/limpet or $XDG_RUNTIME_DIR/limpet)"},
	{LP_FLAG_TEXT, "--admin", "ADDRESS", FIELD(admin), .check = check_listen,
	 .help = "serve /metrics (Prometheus), /healthz, /readyz and /status.json at 127.0.0.1:PORT or unix:/PATH"},
	{LP_FLAG_LIST, "--admin-host", "NAME", LIST(LP_FLAG_ADMIN_HOSTS, admin_hosts, admin_host_count),
	 .help = "a host name that requests to --admin may use, in addition to its address and localhost; repeatable. With one, "
		 "ADDRESS may be reachable from other machines"},
	{LP_FLAG_CHOICE, "--log-level", "LEVEL", FIELD(log_level), .choices = log_levels,
	 .help = "the least important lines that limpet logs"},
	{LP_FLAG_CHOICE, "--log-format", "FORMAT", FIELD(log_format), .choices = log_formats,
	 .help = "format of the log on standard error: lines of text, or JSON objects with the fields time, level and message, "
		 "and with worker, pid, policy, client and listener where they apply"},
};

/* Which balancer a command asks. */
#define BALANCER_FLAGS \
	{LP_FLAG_TEXT, "--name", "NAME", FIELD(name), .check = check_name, \
	 .help = "which balancer to ask; not needed if only one runs"}, \
	{LP_FLAG_TEXT, "--control", "PATH", FIELD(control), .check = check_control, \
	 .help = "its control socket, if limpet run was given a --control"}

static const struct lp_flag status_flags[] = {
	{LP_FLAG_ON, "--json", NULL, TOOL(json),
	 .help = "for programs: one JSON object, also on a terminal, where a table is the default"},
	BALANCER_FLAGS,
};

static const struct lp_flag ask_flags[] = {BALANCER_FLAGS};

static const struct lp_flag drain_flags[] = {
	{LP_FLAG_DURATION, "--timeout", "TIME", TOOL(timeout_ms), .least = 0, .most = 86400000,
	 .help = "how long to wait until the worker has no connection; after that it continues to drain, and the exit status is 1; "
		 "0, the default: no limit"},
	BALANCER_FLAGS,
};

static const struct lp_flag stop_flags[] = {
	{LP_FLAG_ON, "--now", NULL, TOOL(now), .help = "end the workers at once, and all their connections"},
	BALANCER_FLAGS,
};

#define DECISION_FLAGS \
	{LP_FLAG_ON, "--reveal", NULL, TOOL(unredacted), \
	 .help = "show session ids and queries; anybody who knows them can take over the sessions"}, \
	{LP_FLAG_ON, "--json", NULL, TOOL(json), .help = "for programs: one JSON object per line"}

static const struct lp_flag why_flags[] = {
	{LP_FLAG_NUMBER, "--last", "N", TOOL(last), .least = 1, .most = 500,
	 .help = "how many of the last connections to explain (default 20)"},
	DECISION_FLAGS,
	BALANCER_FLAGS,
};

static const struct lp_flag tail_flags[] = {
	DECISION_FLAGS,
	BALANCER_FLAGS,
};

static const struct lp_flag record_flags[] = {
	BALANCER_FLAGS,
	{LP_FLAG_TEXT, "--out", "FILE", TOOL(out), .help = "file to write (default standard output)"},
	{LP_FLAG_ON, "--raw", NULL, TOOL(unredacted),
	 .help = "keep the values of cookies and authorization headers"},
};

#define SESSION_FLAG \
	{LP_FLAG_LIST, "--session", "WHAT", LIST(LP_FLAG_SESSIONS, sessions, session_count), \
	 .check = check_session_rule, .help = "what policies find as conn.session, as for run; repeatable"}
#define WORKERS_FLAG \
	{LP_FLAG_NUMBER, "--workers", "N", TOOL(workers), .least = 1, .most = LIMPET_WORKERS_MAX, \
	 .help = "how many workers there are"}

static const struct lp_flag check_flags[] = {CONFIG_FLAG, SETTING_FLAG, SESSION_FLAG, TRUST_FLAG, FORWARDED_FLAG};

static const struct lp_flag route_flags[] = {
	HEADING("The connection"),
	{LP_FLAG_TEXT, "--ip", "ADDRESS", TOOL(ip), .check = check_ip, .help = "the client's address"},
	{LP_FLAG_NUMBER, "--port", "N", TOOL(port), .least = 1, .most = 65535, .help = "the client's port"},
	{LP_FLAG_TEXT, "--listener", "ADDRESS", TOOL(listener), .help = "the listener that accepted it, as in run's --listen"},
	{LP_FLAG_TEXT, "--method", "METHOD", TOOL(method), .help = "the request's method (default GET)"},
	{LP_FLAG_TEXT, "--path", "PATH", TOOL(path), .check = check_path,
	 .help = "the request's path, with or without a query (default /)"},
	{LP_FLAG_TEXT, "--sid", "SID", TOOL(sid), .help = "a Socket.IO session, added to the query"},
	{LP_FLAG_LIST, "--header", "HEADER", TOOL_LIST(LP_FLAG_HEADERS, headers, header_count),
	 .check = check_header, .help = "a header of the request, such as 'X-Tenant: acme'; repeatable"},
	{LP_FLAG_TEXT, "--raw", "FILE", TOOL(raw),
	 .help = "instead of a request: everything that the client sends, such as a request head or a TLS hello"},
	{LP_FLAG_TEXT, "--sni", "HOST", TOOL(sni), .help = "instead of a request: a TLS hello for this host"},
	{LP_FLAG_LIST, "--alpn", "PROTOCOL", TOOL_LIST(LP_FLAG_ALPN, alpn, alpn_count),
	 .help = "instead of a request: a TLS hello for this protocol; repeatable"},
	{LP_FLAG_TEXT, "--replay", "FILE", TOOL(replay),
	 .help = "instead of one connection: find those of a recording that two policies send to different workers"},

	HEADING("The balancer"),
	WORKERS_FLAG,
	{LP_FLAG_LIST, "--session", "WHAT|SID=ID", TOOL_LIST(LP_FLAG_KNOWN, known, known_count),
	 .check = check_known_session,
	 .help = "as for run; or a known session and its worker's number; repeatable"},
	{LP_FLAG_LIST, "--policy", "NAME|FILE", TOOL_LIST(LP_FLAG_FILES, files, file_count), .check = check_policy,
	 .help = "the same as FILE, so that flags of run can be copied; repeatable"},
	SETTING_FLAG,
	TRUST_FLAG,
	FORWARDED_FLAG,
};

static const struct lp_flag simulate_flags[] = {
	{LP_FLAG_NUMBER, "--clients", "N", TOOL(clients), .least = 1, .most = 10000000, .help = "how many there are"},
	WORKERS_FLAG,
	{LP_FLAG_ON, "--nat", NULL, TOOL(nat), .help = "many clients share few addresses, as in offices"},
	{LP_FLAG_NUMBER, "--kill", "ID", TOOL(kill), .least = 1, .most = LIMPET_WORKERS_MAX,
	 .help = "let this worker die and return, and count how many clients move"},
	{LP_FLAG_NUMBER, "--add", "N", TOOL(add), .least = 1, .most = LIMPET_WORKERS_MAX,
	 .help = "add this number of workers, and count how many clients move"},
	{LP_FLAG_TEXT, "--svg", "FILE", TOOL(svg), .help = "also write the chart to this file, as a picture"},
	SETTING_FLAG,
};

static const struct lp_flag bench_flags[] = {WORKERS_FLAG, SETTING_FLAG};
/* clang-format on */

const struct lp_command_entry lp_command_entries[LP_COMMANDS] = {
	[LP_COMMAND_RUN] =
		{
			.name = "run",
			.arguments = "--listen ADDRESS [FLAG]... -- PROGRAM [ARGUMENT]...",
			.summary = "start workers, and hand each connection to the one it belongs to",
			.examples = "Examples:\n"
				    "  limpet run --listen :3000 --workers 4 --policy sid -- node server.js\n"
				    "  limpet run --listen :3000 --policy ./mine.lua --set key=value -- ./server\n"
				    "  limpet run --config /etc/limpet/web.conf\n",
			.notes = "TIME is like 500ms, 10s, 2m or 1h, BYTES like 16384, 16k or 1m.\n",
			.flags = run_flags,
			.flag_count = COUNT(run_flags),
		},
	[LP_COMMAND_STATUS] =
		{
			.name = "status",
			.arguments = "[FLAG]...",
			.summary = "show the state of a running balancer and its workers",
			.examples = "Example:\n"
				    "  limpet status --name 3000\n",
			.notes = "The output is a table on a terminal, else JSON.\n",
			.flags = status_flags,
			.flag_count = COUNT(status_flags),
		},
	[LP_COMMAND_TOP] =
		{
			.name = "top",
			.arguments = "[FLAG]...",
			.summary = "show a running balancer and its workers, live",
			.examples = "Example:\n"
				    "  limpet top\n",
			.notes = "Keys: up and down (or k and j) choose a worker, d drains it, e enables it again,\n"
				 "r loads the policies again, q quits. NO_COLOR turns colours off.\n",
			.flags = ask_flags,
			.flag_count = COUNT(ask_flags),
		},
	[LP_COMMAND_RELOAD] =
		{
			.name = "reload",
			.arguments = "[FLAG]...",
			.summary = "load a running balancer's policies again, and say what changed",
			.examples = "Example:\n"
				    "  limpet reload\n",
			.notes = "Exit status: 0 if the policies were replaced; 1 if they were refused, with file,\n"
				 "line and reason. Then the previous policies stay in use.\n",
			.flags = ask_flags,
			.flag_count = COUNT(ask_flags),
		},
	[LP_COMMAND_DRAIN] =
		{
			.name = "drain",
			.arguments = "WORKER [FLAG]...",
			.files = "a worker's number",
			.summary = "send a worker no new connections, and wait until it has none",
			.examples = "Example:\n"
				    "  limpet drain 2 --timeout 5m\n",
			.notes = "The worker keeps its connections and its sessions. Exit status: 0 when it has no\n"
				 "more connections; 1 if limpet refused, or the time is over.\n",
			.flags = drain_flags,
			.flag_count = COUNT(drain_flags),
		},
	[LP_COMMAND_ENABLE] =
		{
			.name = "enable",
			.arguments = "WORKER [FLAG]...",
			.files = "a worker's number",
			.summary = "send a worker new connections again, after drain",
			.examples = "Example:\n"
				    "  limpet enable 2\n",
			.flags = ask_flags,
			.flag_count = COUNT(ask_flags),
		},
	[LP_COMMAND_STOP] =
		{
			.name = "stop",
			.arguments = "[FLAG]...",
			.summary = "stop a running balancer, and wait until it has ended",
			.examples = "Example:\n"
				    "  limpet stop\n",
			.notes = "limpet accepts no more connections, and its workers finish what they have,\n"
				 "within run's --drain-timeout. A second stop, or --now, ends them at once.\n",
			.flags = stop_flags,
			.flag_count = COUNT(stop_flags),
		},
	[LP_COMMAND_WHY] =
		{
			.name = "why",
			.arguments = "[CLIENT|SESSION] [FLAG]...",
			.summary = "explain where connections went, and why",
			.examples = "Examples:\n"
				    "  limpet why 192.0.2.7\n"
				    "  limpet why --last 5\n",
			.notes = "CLIENT is an address, with or without a port. SESSION is a session's id, or\n"
				 "the hash that is shown in its place. Without either, the last connections are\n"
				 "explained. The balancer remembers 10,000. Exit status: 1 when there is no such\n"
				 "connection.\n",
			.flags = why_flags,
			.flag_count = COUNT(why_flags),
		},
	[LP_COMMAND_TAIL] =
		{
			.name = "tail",
			.arguments = "[FLAG]...",
			.summary = "print each connection once it has arrived or ended",
			.examples = "Example:\n"
				    "  limpet tail --json >> decisions.jsonl\n",
			.flags = tail_flags,
			.flag_count = COUNT(tail_flags),
		},
	[LP_COMMAND_RECORD] =
		{
			.name = "record",
			.arguments = "[FLAG]...",
			.summary = "write the recent connections of a running balancer to a file",
			.examples = "Example:\n"
				    "  limpet record --out recent.txt\n",
			.notes = "Up to 256 connections, at most one a millisecond, each as the line\n"
				 "\"IP PORT WORKER BYTES LISTENER\", its request head or TLS hello, and a newline.\n"
				 "There are no heads when no policy looks at them.\n",
			.flags = record_flags,
			.flag_count = COUNT(record_flags),
		},
	[LP_COMMAND_CHECK] =
		{
			.name = "check",
			.arguments = "FILE... [FLAG]...",
			.files = "a policy",
			.summary = "find mistakes in policies, and try them on made-up connections",
			.examples = "Examples:\n"
				    "  limpet check ./mine.lua\n"
				    "  limpet check --config /etc/limpet/web.conf\n",
			.notes = "Prints file:line: what is wrong. Exit status: 0 if nothing is wrong, else 1.\n",
			.flags = check_flags,
			.flag_count = COUNT(check_flags),
		},
	[LP_COMMAND_ROUTE] =
		{
			.name = "route",
			.arguments = "FILE... [FLAG]...",
			.files = "a policy",
			.summary = "say which worker a made-up connection goes to, and why",
			.examples = "Examples:\n"
				    "  limpet route ./mine.lua --ip 10.1.2.3 --header 'X-Tenant: acme'\n"
				    "  limpet route sid ip_hash --sid abc --session abc=2 --workers 8\n"
				    "  limpet route ./mine.lua --raw request.txt\n",
			.notes = "Each FILE is a policy as run's --policy takes them, tried in order.\n",
			.flags = route_flags,
			.flag_count = COUNT(route_flags),
		},
	[LP_COMMAND_TEST] =
		{
			.name = "test",
			.arguments = "FILE|FOLDER...",
			.files = "a test file or a folder with *.test.lua",
			.summary = "run the tests of policies",
			.examples = "Examples:\n"
				    "  limpet test policies\n"
				    "  limpet test ./mine.test.lua\n",
			.notes = "Exit status: 0 when all pass, else 1.\n",
		},
	[LP_COMMAND_SIMULATE] =
		{
			.name = "simulate",
			.arguments = "FILE... [FLAG]...",
			.files = "a policy",
			.summary = "show how policies spread many clients over workers",
			.examples = "Example:\n"
				    "  limpet simulate ip_hash --clients 100000 --workers 8 --kill 3 --nat\n",
			.notes = "Each FILE is a policy as run's --policy takes them, tried in order.\n",
			.flags = simulate_flags,
			.flag_count = COUNT(simulate_flags),
		},
	[LP_COMMAND_BENCH] =
		{
			.name = "bench",
			.arguments = "FILE... [FLAG]...",
			.files = "a policy",
			.summary = "measure what policies cost per connection",
			.examples = "Example:\n"
				    "  limpet bench ./mine.lua\n",
			.notes = "Clients come through a trusted proxy, with 12 headers each. The included\n"
				 "policies follow, for comparison.\n",
			.flags = bench_flags,
			.flag_count = COUNT(bench_flags),
		},
	[LP_COMMAND_HELP] = {.name = "help", .arguments = "[COMMAND]", .summary = "explain a command and its flags"},
	[LP_COMMAND_VERSION] = {.name = "version", .arguments = "", .summary = "print the version"},
};

struct unit {
	const char *suffix;
	uint32_t factor;
};

/* Largest first; a number without a suffix is in the unit whose suffix is "". */
static const struct unit number_units[] = {{"", 1}, {NULL, 0}};
static const struct unit byte_units[] = {{"m", 1048576}, {"k", 1024}, {"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {
	{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"", 1000}, {"ms", 1}, {NULL, 0},
};

static const struct unit *units_of(enum lp_flag_kind kind)
{
	return kind == LP_FLAG_BYTES ? byte_units : kind == LP_FLAG_DURATION ? duration_units : number_units;
}

void lp_flag_format(enum lp_flag_kind kind, uint32_t value, char *text)
{
	const struct unit *unit = units_of(kind);

	while (unit[1].suffix && (value == 0 || value % unit->factor != 0))
		unit++;
	snprintf(text, LP_FLAG_TEXT_SIZE, "%u%s", value / unit->factor, unit->suffix);
}

bool lp_flag_number(const struct lp_flag *flag, const char *text, uint32_t *number)
{
	const struct unit *unit = units_of(flag->kind);
	uint64_t value = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (uint64_t)(*at - '0');
		if (value > UINT32_MAX)
			return false;
	}
	if (at == text)
		return false;
	while (unit->suffix && strcmp(unit->suffix, at) != 0)
		unit++;
	if (!unit->suffix)
		return false;
	value *= unit->factor;
	*number = (uint32_t)value;
	return value >= flag->least && value <= flag->most;
}

void lp_flag_describe(const struct lp_flag *flag, char *text, size_t size)
{
	char least[LP_FLAG_TEXT_SIZE];
	char most[LP_FLAG_TEXT_SIZE];
	size_t length;

	switch (flag->kind) {
	case LP_FLAG_NUMBER:
	case LP_FLAG_BYTES:
	case LP_FLAG_DURATION:
		lp_flag_format(flag->kind, flag->least, least);
		lp_flag_format(flag->kind, flag->most, most);
		snprintf(text, size, "%s from %s to %s%s",
			 flag->kind == LP_FLAG_NUMBER  ? "a number"
			 : flag->kind == LP_FLAG_BYTES ? "a number of bytes"
						       : "a time",
			 least, most,
			 flag->kind == LP_FLAG_NUMBER  ? ""
			 : flag->kind == LP_FLAG_BYTES ? ", such as 16384 or 16k"
						       : ", such as 10s, 500ms or 2m");
		break;
	case LP_FLAG_CHOICE:
		length = (size_t)snprintf(text, size, "one of %s", flag->choices[0]);
		for (size_t i = 1; flag->choices[i] && length < size; i++)
			length += (size_t)snprintf(text + length, size - length, ", %s", flag->choices[i]);
		break;
	default:
		snprintf(text, size, "%s", flag->value);
	}
}
