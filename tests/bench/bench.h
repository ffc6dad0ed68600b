/**
 * What the benchmarks share: the programs they measure, what those cost, and the clients that load them.
 *
 * Whatever goes wrong ends the benchmark with a message: a figure from a run that failed is worse than none.
 */
#ifndef LP_TESTS_BENCH_H
#define LP_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** A program that listens. */
struct bench_program {
	pid_t pid;
	int port;
	int log; /* What it says on standard error. */
};

/** Print a message and end. @param format printf's, without a newline. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/** Raise our limit of open files, and so our children's, as far as it goes. */
void bench_raise_limits(void);

/** The path of a program built beside this one, for free(). @param name Its file name. */
char *bench_beside(const char *name);

/**
 * Start a program and wait until it says "listening on 127.0.0.1:PORT", and of each of its workers "is ready".
 *
 * @param program  Filled. For bench_stop.
 * @param workers  How many will say so; may be 0.
 * @param command  File and arguments, NULL-terminated.
 */
void bench_start(struct bench_program *program, unsigned workers, const char *const *command);

/** Start `limpet run` with native workers, as bench_start. @param limpet Its path. @param policy Its --policy. */
void bench_start_limpet(struct bench_program *program, const char *limpet, unsigned workers, const char *policy);

/** End a program with SIGTERM and wait for it. @param program Started. */
void bench_stop(struct bench_program *program);

/** Seconds of processor time that a program's own process has used, all its threads together. @param pid Its. */
double bench_cpu(pid_t pid);

/** Resident bytes of a process. @param pid Its. */
size_t bench_resident(pid_t pid);

/** Wait until a process has that many open files. @param pid Its. @param count How many. */
void bench_await_files(pid_t pid, unsigned count);

/** Open files of a process. @param pid Its. */
unsigned bench_files(pid_t pid);

/** Seconds on the monotonic clock. */
double bench_now(void);

/** The median. @param values Sorted by this. @param count At least 1. */
double bench_median(double *values, size_t count);

/** A positive number from the command line. @param text NULL for the default. @param otherwise The default. */
unsigned bench_number(const char *text, unsigned otherwise);

/** The key of a session that worker `worker` (from 1) of a benchmark has. @param key Room for 32 bytes. */
void bench_session_key(char *key, unsigned worker, unsigned index);

/** Sessions that each worker tells of when it starts. */
#define BENCH_SESSIONS 64

/** Bytes of the request that clients send: a head of 12 headers, as a browser's polling transport sends it. */
#define BENCH_REQUEST_MAX 1024

/** Write a request. @param request Room for BENCH_REQUEST_MAX. @param key The sid. @param keep_alive Or close. */
size_t bench_request(char *request, const char *key, bool keep_alive);

/** A connected client. @param port Of the server. @param number Chooses one of 200 source addresses. */
int bench_connect(int port, unsigned number);

/** Send a request and read its answer. @param fd Connected. @param to_end Read until the server closes, too. */
void bench_ask(int fd, const char *request, size_t length, bool to_end);

/**
 * New connections, each with one request, answered and closed by the server.
 *
 * @param port         Where to.
 * @param workers      How many have sessions; requests name all of these sessions in turn.
 * @param connections  How many in all.
 * @param clients      From how many threads, 1 – BENCH_CLIENTS_MAX.
 */
void bench_connections(int port, unsigned workers, unsigned connections, unsigned clients);

/** Client threads, at most. */
#define BENCH_CLIENTS_MAX 256

/**
 * Requests on 8 kept connections, one after the other on each.
 *
 * @param port     Where to.
 * @param seconds  How long.
 *
 * @return Requests a second, of all connections together.
 */
double bench_requests(int port, double seconds);

#endif
