/**
 * limpet on your own event loop.
 *
 * A balancer accepts connections, asks Lua policies which worker each belongs to, and passes the descriptors to the
 * workers. This is all of it that the `limpet` program itself uses: its main() reads a command line into
 * `struct limpet_options`, then calls new, start, and reload or stop when signals say so.
 *
 * Life cycle: new → start → (reload)* → stop → [stopped callback] → free. All calls on the loop's own thread. A program
 * may hold several balancers.
 *
 * To be able to stop a policy, a balancer that has one keeps a thread that watches the time, and a process with such a
 * balancer has handlers for SIGURG and SIGSEGV, which pass on what is not theirs and are restored with the last one.
 *
 * Glossary: a *connection* is one accepted socket; its *head* is the HTTP request head at its start; a *worker* is one
 * process in one numbered slot; a *session* binds a key (Engine.IO's sid) to a worker; a *dialect* is how workers take
 * connections; a *policy* is a Lua file that chooses the worker.
 */
#ifndef LIMPET_BALANCER_H
#define LIMPET_BALANCER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "limpet/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The most workers one balancer starts. */
#define LIMPET_WORKERS_MAX 256

/**
 * How a balancer is to work. Fill with limpet_options_init, then change what matters. Every pointer is borrowed and
 * must live until limpet_balancer_free.
 */
struct limpet_options {
	const char *const *listen; /**< "host:port", "[v6]:port", ":port", "unix:/path". At least one. */
	size_t listen_count;

	const char *const
		*policies; /**< Paths, or names of included policies; tried in order. None: the least busy worker. */
	size_t policy_count;
	/** What names sessions, each as --session takes it: "sid", "mcp", "cookie:NAME", "header:NAME", "query:NAME" or
	 * "LEARNT=CARRIED". Without any policy the included policy `session` is used. */
	const char *const *sessions;
	size_t session_count;
	/** In percent: a reload that would send more of the recent clients elsewhere is refused. 100: any may. */
	unsigned max_moved;

	const char *const *settings; /**< "key=value", given to each policy's setup(options). */
	size_t setting_count;

	const char *const *trusted; /**< CIDR ranges of proxies whose forwarded headers are believed. */
	size_t trusted_count;
	/** The header that they write: "x-forwarded-for", "forwarded" or "x-real-ip", in any case. No other is read. */
	const char *forwarded_header;

	char *const *command; /**< What a worker runs: file, arguments, NULL. The file is looked up in PATH. */
	unsigned workers;     /**< 1 – LIMPET_WORKERS_MAX. 0: one for each processor. */
	const char *user;     /**< "NAME" or "NAME:GROUP": root becomes it when all is open. NULL: stay. */
	uint32_t
		worker_descriptors; /**< The soft limit of descriptors that workers begin with. 0: the process's own. */
	const char *dialect;        /**< How workers take connections. "auto" looks at the command. */
	const char *
		node_serialization; /**< How Node workers speak: "json", or "advanced", in which Buffers stay Buffers. */
	const char *learn;       /**< "cookie:NAME,header:NAME": what names a session in responses; NULL: sids alone. */
	const char *preload_dir; /**< Of the socket that preloaded workers find us by; NULL: one that suits the user. */
	/** Not 0: what workers start and leave becomes a child of this process, which reaps every child that ends. So
	 * preloaded workers may be daemons. For a process that is limpet's alone. */
	int adopt_orphans;
	int wait_ready; /**< Not 0: a Node worker gets connections once it says process.send('ready'), too. */
	/** How workers are told to finish: "auto", as the dialect has it; "SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR2" or
	 * "SIGWINCH"; "shutdown", as a message to Node workers. */
	const char *stop_with;
	/** "NAME=value", each a variable in a worker's environment; in the value %u stands for the worker's number from
	 * 1, %i for it from 0, %n for how many there are. */
	const char *const *worker_env;
	size_t worker_env_count;
	int worker_prefix; /**< Not 0: each line of a worker's output is passed on after "[id] ". */

	uint32_t policy_time_ms; /**< 1 – 10,000. A hook that takes longer is stopped, and its policies made anew. */
	uint32_t policy_memory_bytes; /**< 1 MiB – 1 GiB. For all policies together; past it the hook is stopped. */

	uint32_t head_timeout_ms; /**< From accept to a complete head, in all; also the wait for a first worker. */
	uint32_t max_head_bytes;  /**< 256 – 1 MiB. A longer request head is answered with 431. */
	uint32_t max_waiting;     /**< Connections that wait for a head, a session or a worker. */
	/** Of one address (IPv6: of one /64): connections whose head is not complete. Further ones are closed. 0: any. */
	uint32_t max_per_ip;
	uint32_t max_rate_per_ip; /**< Of one address: new connections a second. Further ones are closed. 0: any. */
	uint32_t max_sessions;    /**< Past it the least recently used is forgotten. 66 bytes each, at most. */
	uint32_t session_wait_ms; /**< How long a connection with an unknown sid waits for a worker to claim it. */
	uint32_t ack_timeout_ms;  /**< A worker that takes nothing for so long gets no new connections. 0: off. */
	uint32_t kill_stuck_ms;   /**< A worker that takes nothing for so long is killed. 0: off. */
	/** When no worker was ever ready for so long since the start, and each place has seen 5 of them end, there is no hope
	 * (limpet_balancer_on_hopeless). 0: there always is. */
	uint32_t start_timeout_ms;
	/** From stop to the end of workers that have not ended by themselves; also of one that has disconnected. */
	uint32_t drain_timeout_ms;

	int backlog;      /**< For listen(2). */
	int defer_accept; /**< Not 0: TCP_DEFER_ACCEPT, right where the client speaks first. */

	const char *control; /**< Path of the control socket. NULL: as `name` has it. */
	/** What the command line calls this balancer: 1 to 64 letters, digits, '.', '_' and '-'. Its control socket is then
	 * NAME.control in the run-time folder (/run/limpet, or $XDG_RUNTIME_DIR/limpet), unless `control` names another.
	 * "": called after its first listener. NULL: it has no name, and without `control` no control socket. */
	const char *name;
	const char *config; /**< The file that the options came from: the status names it. NULL: none. */
	/** Where metrics and the status are served over HTTP: "127.0.0.1:9090" or "unix:/path". NULL: nowhere. */
	const char *admin;
	const char *const
		*admin_hosts; /**< Host names, beside the address and localhost, that requests there may say. */
	size_t admin_host_count;
	int log_fd;             /**< Where the log goes. */
	const char *log_level;  /**< "error", "warning", "info", "debug". */
	const char *log_format; /**< "text" (with the time, except in a journal), "json". */
};

/**
 * What became of every connection, counted one by one as it happens. At any moment
 *
 *     accepted     = handed_over + refused + closed_early + waiting
 *     handed_over  = acknowledged + in_flight + moved
 *
 * Each connection is in one of the six on the right that are not sums. One that comes back from a worker, which it does
 * only unread, is no longer handed over but waiting again, until it goes to a worker once more; the `returned` count how
 * often that was.
 */
struct limpet_counts {
	uint64_t accepted;         /**< Taken from a listener. */
	uint64_t handed_over;      /**< At a worker, or on the way to one. */
	uint64_t acknowledged;     /**< Of those, taken by the worker that they were first sent to. */
	uint64_t in_flight;        /**< Of those, on the way; limpet still holds the descriptor. */
	uint64_t moved;            /**< Of those, taken at a later attempt, mostly by another worker. */
	uint64_t refused;          /**< Answered by limpet with a status, or closed as its address has too many. */
	uint64_t over_limit;       /**< Of those, closed for max_per_ip or max_rate_per_ip. */
	uint64_t closed_early;     /**< The client left, or said nothing until its deadline. */
	uint64_t waiting;          /**< For a head, a session or a worker. */
	uint64_t returned_lost;    /**< Came back with the end of a worker or of its channel: how often. */
	uint64_t returned_refused; /**< Because the worker did not accept it. */
	uint64_t returned_no_room; /**< Because the worker was at its limit of open files. */
	uint64_t policy_errors;    /**< Hooks that raised an error or returned an invalid answer. */
	uint64_t policy_kills;     /**< Hooks that were stopped: out of time or memory. */
	uint64_t
		policy_benched_ms; /**< For how long a policy will not be asked, having been stopped too often; 0: all are. */
	uint64_t reloads;          /**< That took. */
	uint64_t failed_reloads;
	uint64_t rollbacks; /**< Reloads that took, and were undone because the new policies failed at once. */
	uint64_t bounced;   /**< Of accepted, those that a worker gave back between two requests. */
	uint64_t worker_starts;
	uint64_t worker_exits;     /**< Of any kind, expected or not. */
	uint64_t worker_ejections; /**< How often a worker took nothing for ack_timeout_ms. */
	uint64_t stuck_kills;      /**< Workers killed for taking nothing for kill_stuck_ms. */
	uint64_t sessions;         /**< Known now. */
	uint64_t sessions_evicted; /**< Forgotten to make room. */
	uint64_t sessions_moved;   /**< Claimed by a worker while another had them, which lived. */
};

struct limpet_balancer;

/** Runs once when the first worker takes connections. */
typedef void (*limpet_ready_cb)(struct limpet_balancer *balancer, void *owner);

/** Runs once when a stopped balancer has nothing left on the loop; limpet_balancer_free may be called from it. */
typedef void (*limpet_stopped_cb)(struct limpet_balancer *balancer, void *owner);

/** Runs once when no worker will ever be ready, as it seems: see start_timeout_ms. limpet goes on trying; stop it, or wait. */
typedef void (*limpet_hopeless_cb)(struct limpet_balancer *balancer, void *owner);

/**
 * Fill options with the defaults: no listener, no policy, "auto", 10 s, 16 KiB, 10,000 waiting, 256 of one address and any
 * rate, 1,000,000 sessions, 250 ms, 2 s, no killing, 90 s, 30 s, a backlog of 4096, TCP_DEFER_ACCEPT, no control socket, the log
 * as text at "info" on standard error.
 *
 * @param options  The caller's memory; overwritten whole.
 */
LIMPET_EXPORT void limpet_options_init(struct limpet_options *options);

/**
 * Make a balancer: checks the options and loads the policies. Nothing listens and no worker runs yet.
 *
 * @param balancer    Set on success; free with limpet_balancer_free.
 * @param loop        Borrowed; must outlive the balancer.
 * @param options     Borrowed, with all it points to, until limpet_balancer_free.
 * @param error       Filled with one line on failure. NULL is allowed.
 * @param error_size  Bytes of error.
 *
 * @return 0, or negative with *balancer NULL: an option is wrong, or a policy does not load.
 */
LIMPET_EXPORT int limpet_balancer_new(struct limpet_balancer **balancer, uv_loop_t *loop,
				      const struct limpet_options *options, char *error, size_t error_size);

/**
 * Hear when no worker will ever be ready.
 *
 * @param balancer  New; not yet started.
 * @param hopeless  Runs on the loop; may call limpet_balancer_stop.
 * @param owner     Passed to hopeless.
 */
LIMPET_EXPORT void limpet_balancer_on_hopeless(struct limpet_balancer *balancer, limpet_hopeless_cb hopeless,
					       void *owner);

/**
 * Hear when the first worker takes connections.
 *
 * @param balancer  New; not yet started.
 * @param ready     Runs on the loop; may call limpet_balancer_stop.
 * @param owner     Passed to ready.
 */
LIMPET_EXPORT void limpet_balancer_on_ready(struct limpet_balancer *balancer, limpet_ready_cb ready, void *owner);

/**
 * Listen, and start the workers. Returns at once; connections are accepted from the next turn of the loop on, and wait
 * for the first worker that is ready.
 *
 * @param balancer    New; not yet started.
 * @param error       Filled with one line on failure. NULL is allowed.
 * @param error_size  Bytes of error.
 *
 * @return 0, or negative errno (UV_EADDRINUSE names the address) with nothing listening; then free it, after the loop
 *         has run what limpet_balancer_stop left on it.
 */
LIMPET_EXPORT int limpet_balancer_start(struct limpet_balancer *balancer, char *error, size_t error_size);

/**
 * Load the policies again and use them from the next connection on, those that wait included. Sessions, counts and
 * limpet.shared stay.
 *
 * @param balancer    Started.
 * @param error       Filled with one line on failure. NULL is allowed.
 * @param error_size  Bytes of error.
 *
 * @return 0, or negative with the old policies still in place. Both are logged.
 */
LIMPET_EXPORT int limpet_balancer_reload(struct limpet_balancer *balancer, char *error, size_t error_size);

/**
 * Send a worker no more new connections. Those that belong to one of its sessions still go to it, and it keeps those it
 * has. It takes new ones again after limpet_balancer_enable, or when another process takes its place.
 *
 * @param balancer    Started.
 * @param worker      Its number, from 1.
 * @param error       Filled with one line on failure. NULL is allowed.
 * @param error_size  Bytes of error.
 *
 * @return 0, also if it drains already; or negative: there is no such worker, or no other takes connections.
 */
LIMPET_EXPORT int limpet_balancer_drain(struct limpet_balancer *balancer, unsigned worker, char *error,
					size_t error_size);

/**
 * Send a worker new connections again.
 *
 * @param balancer    Started.
 * @param worker      Its number, from 1.
 * @param error       Filled with one line on failure. NULL is allowed.
 * @param error_size  Bytes of error.
 *
 * @return 0, also if it did not drain; or negative: there is no such worker.
 */
LIMPET_EXPORT int limpet_balancer_enable(struct limpet_balancer *balancer, unsigned worker, char *error,
					 size_t error_size);

/**
 * Let the control socket stop the balancer, as limpet_balancer_stop does. Without this the request is refused.
 *
 * @param balancer  New or started.
 * @param stopped   As for limpet_balancer_stop.
 * @param owner     Passed to stopped. Must outlive it.
 */
LIMPET_EXPORT void limpet_balancer_allow_stop(struct limpet_balancer *balancer, limpet_stopped_cb stopped, void *owner);

/**
 * Drain: stop accepting, hand over what waits, tell the workers to finish, and end those that are left after
 * drain_timeout_ms. A second call, or a call with `now`, ends them at once.
 *
 * @param balancer  New or started.
 * @param now       Not 0: no draining.
 * @param stopped   Runs once, on the loop, after the last worker is gone and every handle closed. Kept from the first
 *                  call; a second call's is ignored. NULL is allowed.
 * @param owner     Passed to stopped. Must outlive it.
 */
LIMPET_EXPORT void limpet_balancer_stop(struct limpet_balancer *balancer, int now, limpet_stopped_cb stopped,
					void *owner);

/**
 * Free a balancer.
 *
 * @param balancer  Never started, or stopped with its callback run. NULL is allowed.
 */
LIMPET_EXPORT void limpet_balancer_free(struct limpet_balancer *balancer);

/**
 * What became of every connection so far.
 *
 * @param balancer  Borrowed.
 * @param counts    Overwritten.
 */
LIMPET_EXPORT void limpet_balancer_counts(const struct limpet_balancer *balancer, struct limpet_counts *counts);

/**
 * The port that a listener got; of use with port 0.
 *
 * @param balancer  Started.
 * @param index     Of the listener, in the order of options.listen.
 *
 * @return 1 – 65535; 0 for a unix path or an index out of range.
 */
LIMPET_EXPORT int limpet_balancer_port(const struct limpet_balancer *balancer, size_t index);

#ifdef __cplusplus
}
#endif

#endif
