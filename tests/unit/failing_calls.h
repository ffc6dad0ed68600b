/**
 * Calls that fail, one at a time: whatever goes wrong on the way, it is told, and nothing is left behind. Include after
 * cmocka.h.
 *
 *     FAILING_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
 *
 * stands for a function that the test's program is linked with by wrap_calls() of CMakeLists.txt. It is itself, except
 * between fail_call() and failed_call(), when it fails if it is its turn.
 */
#ifndef LP_TESTS_FAILING_CALLS_H
#define LP_TESTS_FAILING_CALLS_H

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static struct {
	bool counting;
	unsigned called;
	unsigned failing;   /* Which of them, from 1. */
	const char *failed; /* The name of the one that did. */
	int error;          /* With which errno; 0: its usual one. */
} failing_calls;

/** Let the which-th of the calls fail, from 1. */
static inline void fail_call(unsigned which)
{
	failing_calls.called = 0;
	failing_calls.failing = which;
	failing_calls.failed = NULL;
	failing_calls.error = 0;
	failing_calls.counting = true;
}

/** The same, with another errno than its usual one. */
static inline void fail_call_with(unsigned which, int error)
{
	fail_call(which);
	failing_calls.error = error;
}

/** No more of them fails. Returns the name of the one that has; NULL: there were not as many. */
static inline const char *failed_call(void)
{
	failing_calls.counting = false;
	return failing_calls.failed;
}

static inline bool call_fails(const char *name, int usual)
{
	if (!failing_calls.counting || ++failing_calls.called != failing_calls.failing)
		return false;
	failing_calls.failed = name;
	errno = failing_calls.error ? failing_calls.error : usual;
	return true;
}

#define FAILING_CALL(type, name, parameters, arguments, result, error)                                                 \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		if (call_fails(#name, error))                                                                          \
			return result;                                                                                 \
		return __real_##name arguments;                                                                        \
	}

/** Descriptors that this process has open. */
static inline unsigned count_descriptors(void)
{
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/fd");
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

#endif
