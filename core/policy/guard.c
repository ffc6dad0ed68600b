/*
 * Stopping a call that does not end.
 *
 * Each call makes a sequence number odd when it is armed and even when it is over. The watchdog, a thread, looks at the
 * number every few milliseconds; one that stays the same odd one for too long is a call that does not end. So a call
 * costs an atomic addition and a store, and the clock is read by the watchdog only.
 *
 *     state of the watchdog    goes on to
 *     asleep                   watching, when a call is armed (the only call that makes a system call)
 *     watching                 asking, when one call has run for its time; asleep, after QUIET_LOOKS without a call
 *     asking                   watching, when the call is over; leaving, when asking has not helped
 *     leaving                  watching, when the call is over
 *
 * Asking and leaving are a signal to the call's thread, sent again until the call is over: one that arrives just outside
 * of it does nothing. The handler compares the sequence number that it is meant for with the present one, so that it
 * never hits the next call. Leaving is a siglongjmp out of the handler. The signal is blocked until the jump has landed:
 * were it not, handlers that take longer than the time to the next signal would pile up until their stack is full.
 * (AddressSanitizer's do: before a jump from that stack it reads the whole of /proc/self/maps, under a lock.)
 *
 * A stack that is full raises SIGSEGV near its end; that handler runs on a stack of its own and leaves in the same way.
 * It is the last resort: a fault in the middle of code that is not ours to interrupt would not be sound to leave, and so
 * what recurses is stopped well before (lp_guard_is_deep, lp_guard_hold).
 *
 * Signal handlers belong to the process (policy/guard_signals.h), and one is given nothing but a number: so each thread knows
 * the guard that it runs, in a variable of its own (`here`).
 *
 * The watchdog frees the guard, as its last act, so that it can be joined later (retired_threads.h). `ordering` is there so that
 * it signals no thread that is gone meanwhile.
 *
 * Limits: stacks grow down. ThreadSanitizer delays signals until the thread next calls the C library, so that a loop which
 * never does is not stopped under it.
 */
#include "policy/guard.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "policy/guard_signals.h"

#define MS_NS UINT64_C(1000000)

/* The watchdog's looks: a quarter of the time that a call has, within these. */
#define LOOK_NS_MIN (1 * MS_NS)
#define LOOK_NS_MAX (5 * MS_NS)

/* From asking to leaving: a quarter of the time too. */
#define PATIENCE_NS_MIN (2 * MS_NS)
#define PATIENCE_NS_MAX (8 * MS_NS)

/* Between one signal and the next. */
#define AGAIN_NS (1 * MS_NS)

#define QUIET_LOOKS 20

#define WATCHDOG_STACK_BYTES ((size_t)256 << 10)
#define HANDLER_STACK_BYTES ((size_t)128 << 10)

/*
 * What is deep on a large stack; on a small one it is an eighth. Not more, because an error that unwinds it all takes a
 * microsecond a frame.
 */
#define DEEP_BYTES_MAX ((ptrdiff_t)128 << 10)

/* A fault this near to the end of the stack is a full stack. */
#define STACK_END_BYTES ((uintptr_t)256 << 10)

enum order { ORDER_ASK, ORDER_LEAVE };

struct lp_guard {
	/* Of the call. */
	atomic_uint_fast64_t sequence; /* Odd: armed. */
	_Atomic uint32_t time_ms;
	sigjmp_buf target;
	enum lp_guard_end end;
	char *deep;      /* A frame below this is deep. */
	char *too_deep;  /* Below this nothing that must not be left begins. */
	atomic_int held; /* Written by its thread, read by the handler on it. */
	atomic_bool overdue;

	/* Whom the watchdog signals. */
	pthread_t thread;
	bool has_thread;
	_Atomic clockid_t thread_clock;

	/* Of the watchdog. */
	pthread_t watchdog;
	atomic_uint_fast64_t meant; /* The sequence number that the order is for. */
	_Atomic enum order order;
	atomic_uint_fast64_t asked; /* The sequence number of the call that has been asked to end. */
	atomic_bool asleep;
	atomic_bool ending;
	pthread_mutex_t ordering; /* Held to signal the thread, and to set it or `ending`. */
	sem_t wake;

	lp_guard_ask_cb ask;
	void *owner;
	stack_t stack_before; /* For the handlers, while `here.lender` is this guard. */
	void *stack;
	bool lends; /* Its stack. Otherwise the thread had one. */
};

struct moment {
	uint64_t ns;
	uint64_t thread_ns; /* How long the call's thread had run on a processor until then, in all. */
};

/* What the watchdog remembers from one look to the next. */
struct watch {
	uint64_t sequence;
	struct moment began; /* When the call was first seen. */
	struct moment asked; /* When it was first seen to have been asked. */
	bool was_asked;
	unsigned quiet;
};

static _Thread_local struct {
	struct lp_guard *running;
	struct lp_guard *lender; /* Gave this thread the stack for handlers, or found one. */
	char *stack_end;         /* The lowest address. */
} here __attribute__((tls_model("initial-exec")));

static uint64_t clamp_ns(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* The call is over from here on: a signal that comes while this one is still being left does nothing. */
static _Noreturn void leave_call(struct lp_guard *guard, enum lp_guard_end end)
{
	lp_guard_disarm(guard);
	guard->end = end;
	siglongjmp(guard->target, 1);
}

static bool is_armed(struct lp_guard *guard)
{
	return atomic_load_explicit(&guard->sequence, memory_order_relaxed) & 1;
}

/* The handlers */

static void on_signal(int number, siginfo_t *info, void *context)
{
	struct lp_guard *guard = here.running;
	int kept = errno;

	if (!guard || atomic_load(&guard->meant) != atomic_load(&guard->sequence)) {
		lp_guard_signals_pass_on(number, info, context);
	} else if (atomic_load(&guard->order) == ORDER_ASK) {
		guard->ask(guard->owner);
		atomic_store(&guard->asked, atomic_load(&guard->sequence));
	} else if (atomic_load_explicit(&guard->held, memory_order_relaxed)) {
		atomic_store_explicit(&guard->overdue, true, memory_order_relaxed);
	} else {
		errno = kept;
		leave_call(guard, LP_GUARD_TIME);
	}
	errno = kept;
}

static bool is_full_stack(struct lp_guard *guard, const siginfo_t *info)
{
	uintptr_t end = (uintptr_t)here.stack_end;
	uintptr_t at = (uintptr_t)info->si_addr;

	return info->si_code > 0 && is_armed(guard) && !atomic_load_explicit(&guard->held, memory_order_relaxed) &&
	       at + STACK_END_BYTES >= end && at < end + STACK_END_BYTES;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	struct lp_guard *guard = here.running;

	if (guard && is_full_stack(guard, info))
		leave_call(guard, LP_GUARD_STACK);
	lp_guard_signals_pass_on(number, info, context);
}

/* The watchdog */

static void send_order(struct lp_guard *guard, const struct watch *watch, enum order what)
{
	pthread_mutex_lock(&guard->ordering);
	if (!atomic_load(&guard->ending)) {
		atomic_store(&guard->order, what);
		atomic_store(&guard->meant, watch->sequence);
		pthread_kill(guard->thread, LP_GUARD_SIGNAL);
	}
	pthread_mutex_unlock(&guard->ordering);
}

static struct moment read_clock(const struct lp_guard *guard)
{
	struct timespec ran = {0}; /* As long as the thread does not tell. */

	clock_gettime(atomic_load(&guard->thread_clock), &ran);
	return (struct moment){lp_clock_ns(), (uint64_t)ran.tv_sec * 1000 * MS_NS + (uint64_t)ran.tv_nsec};
}

/* Whether so long is over, of which the thread really ran half: a machine that stands still is nobody's fault. */
static bool is_over(const struct moment *since, const struct moment *at, uint64_t ns)
{
	return at->ns - since->ns >= ns && at->thread_ns - since->thread_ns >= ns / 2;
}

/* The call has been seen before. Returns how long to wait until the next look. */
static uint64_t look_again(struct lp_guard *guard, struct watch *watch, uint64_t limit_ns, uint64_t look_ns)
{
	struct moment at = read_clock(guard);

	if (!is_over(&watch->began, &at, limit_ns)) {
		uint64_t ran_ns = at.ns - watch->began.ns;

		return ran_ns < limit_ns ? clamp_ns(limit_ns - ran_ns, 1, look_ns) : LOOK_NS_MIN;
	}
	if (!watch->was_asked && atomic_load(&guard->asked) == watch->sequence) {
		watch->was_asked = true;
		watch->asked = at;
	}
	if (watch->was_asked && is_over(&watch->asked, &at, clamp_ns(limit_ns / 4, PATIENCE_NS_MIN, PATIENCE_NS_MAX)))
		send_order(guard, watch, ORDER_LEAVE);
	else
		send_order(guard, watch, ORDER_ASK);
	return AGAIN_NS;
}

static uint64_t look_at_call(struct lp_guard *guard, struct watch *watch)
{
	uint64_t sequence = atomic_load(&guard->sequence);
	uint64_t limit_ns = atomic_load_explicit(&guard->time_ms, memory_order_relaxed) * MS_NS;
	uint64_t look_ns = clamp_ns(limit_ns / 4, LOOK_NS_MIN, LOOK_NS_MAX);
	bool is_same = sequence == watch->sequence;

	if (is_same && (sequence & 1))
		return look_again(guard, watch, limit_ns, look_ns);
	watch->quiet = is_same ? watch->quiet + 1 : 0;
	watch->sequence = sequence;
	watch->was_asked = false;
	if (sequence & 1)
		watch->began = read_clock(guard);
	return look_ns;
}

static void wait_until(struct lp_guard *guard, uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / (1000 * MS_NS)), .tv_nsec = (long)(ns % (1000 * MS_NS))};

	/* Early, when something woke it: one look too many. */
	sem_clockwait(&guard->wake, CLOCK_MONOTONIC, &until);
}

/*
 * The number is read once more after `asleep` is set, and a call reads `asleep` after it has changed the number: one of
 * them sees the other.
 */
static void sleep_until_call(struct lp_guard *guard, struct watch *watch)
{
	atomic_store(&guard->asleep, true);
	while (atomic_load(&guard->sequence) == watch->sequence && !atomic_load(&guard->ending))
		sem_wait(&guard->wake);
	atomic_store(&guard->asleep, false);
	watch->quiet = 0;
}

static void free_guard(struct lp_guard *guard)
{
	pthread_mutex_destroy(&guard->ordering);
	sem_destroy(&guard->wake);
	free(guard);
}

static void *watch_over(void *argument)
{
	struct lp_guard *guard = argument;
	struct watch watch = {0};

	pthread_setname_np(pthread_self(), "limpet-guard");
	while (!atomic_load(&guard->ending)) {
		uint64_t wait_ns = look_at_call(guard, &watch);

		if (watch.quiet < QUIET_LOOKS)
			wait_until(guard, lp_clock_ns() + wait_ns);
		else
			sleep_until_call(guard, &watch);
	}
	/* Whoever set `ending` may not be out of it yet. */
	pthread_mutex_lock(&guard->ordering);
	pthread_mutex_unlock(&guard->ordering);
	free_guard(guard);
	return NULL;
}

/* All signals blocked: those of the program are for its own threads. */
static int start_watchdog(struct lp_guard *guard)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int status;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WATCHDOG_STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&guard->watchdog, &attributes, watch_over, guard);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -status;
}

int lp_guard_new(struct lp_guard **guard, lp_guard_ask_cb ask, void *owner)
{
	struct lp_guard *made = calloc(1, sizeof(*made));
	int status;

	*guard = NULL;
	if (!made)
		return -ENOMEM;
	made->ask = ask;
	made->owner = owner;
	sem_init(&made->wake, 0, 0);
	pthread_mutex_init(&made->ordering, NULL);
	lp_guard_signals_install(on_signal, on_fault);
	status = start_watchdog(made);
	if (status < 0) {
		lp_guard_signals_restore();
		free_guard(made);
		return status;
	}
	*guard = made;
	return 0;
}

/* Take back the stack that this thread's handlers were lent. */
static void take_stack_back(struct lp_guard *guard)
{
	if (here.lender != guard)
		return;
	here.lender = NULL;
	if (guard->lends)
		sigaltstack(&guard->stack_before, NULL);
}

void lp_guard_free(struct lp_guard *guard, struct lp_retired_threads *retired)
{
	if (!guard)
		return;
	pthread_t watchdog = guard->watchdog;
	take_stack_back(guard);
	free(guard->stack);
	pthread_mutex_lock(&guard->ordering);
	atomic_store(&guard->ending, true);
	sem_post(&guard->wake);
	pthread_mutex_unlock(&guard->ordering);
	lp_guard_signals_restore();
	if (retired)
		lp_retired_threads_add(retired, watchdog);
	else
		pthread_join(watchdog, NULL);
}

/* The call */

static void find_stack_end(void)
{
	pthread_attr_t attributes;
	void *end;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return;
	if (pthread_attr_getstack(&attributes, &end, &size) == 0)
		here.stack_end = end;
	pthread_attr_destroy(&attributes);
}

/* Without memory for a stack, full stacks stay what they are without us. */
static void lend_stack(struct lp_guard *guard)
{
	stack_t lent = {.ss_size = HANDLER_STACK_BYTES};

	here.lender = guard;
	sigaltstack(NULL, &guard->stack_before);
	guard->lends = guard->stack_before.ss_flags & SS_DISABLE;
	if (guard->lends && !guard->stack)
		guard->stack = malloc(HANDLER_STACK_BYTES);
	lent.ss_sp = guard->stack;
	guard->lends = guard->lends && lent.ss_sp && sigaltstack(&lent, NULL) == 0;
}

static void meet_thread(struct lp_guard *guard)
{
	clockid_t clock = CLOCK_THREAD_CPUTIME_ID;

	if (!here.stack_end)
		find_stack_end();
	if (!here.lender)
		lend_stack(guard);
	if (guard->has_thread && pthread_equal(guard->thread, pthread_self()))
		return;
	guard->has_thread = pthread_getcpuclockid(pthread_self(), &clock) == 0;
	pthread_mutex_lock(&guard->ordering);
	guard->thread = pthread_self();
	atomic_store(&guard->thread_clock, clock);
	pthread_mutex_unlock(&guard->ordering);
}

enum lp_guard_end lp_guard_run(struct lp_guard *guard, lp_guarded_cb body, void *subject)
{
	char *frame = __builtin_frame_address(0);
	ptrdiff_t deep;

	if (!here.lender || !guard->has_thread || !pthread_equal(guard->thread, pthread_self()))
		meet_thread(guard);
	deep = (frame - here.stack_end) / 8;
	if (deep > DEEP_BYTES_MAX)
		deep = DEEP_BYTES_MAX;
	guard->deep = frame - deep;
	guard->too_deep = frame - 2 * deep;
	guard->end = LP_GUARD_RETURNED;
	atomic_store_explicit(&guard->held, 0, memory_order_relaxed);
	atomic_store_explicit(&guard->overdue, false, memory_order_relaxed);
	if (sigsetjmp(guard->target, 0) == 0) {
		here.running = guard;
		atomic_signal_fence(memory_order_seq_cst);
		body(subject);
	} else {
		lp_guard_signals_landed();
	}
	lp_guard_disarm(guard);
	here.running = NULL;
	return guard->end;
}

void lp_guard_arm(struct lp_guard *guard, uint32_t time_ms)
{
	atomic_store_explicit(&guard->time_ms, time_ms, memory_order_relaxed);
	atomic_fetch_add(&guard->sequence, 1);
	if (atomic_load(&guard->asleep) && atomic_exchange(&guard->asleep, false))
		sem_post(&guard->wake);
}

void lp_guard_disarm(struct lp_guard *guard)
{
	uint64_t sequence = atomic_load_explicit(&guard->sequence, memory_order_relaxed);

	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&guard->sequence, sequence + (sequence & 1), memory_order_release);
}

void lp_guard_hold(struct lp_guard *guard)
{
	if (here.running != guard)
		return;
	if ((char *)__builtin_frame_address(0) < guard->too_deep)
		leave_call(guard, LP_GUARD_STACK);
	atomic_store_explicit(&guard->held, atomic_load_explicit(&guard->held, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

void lp_guard_release(struct lp_guard *guard)
{
	int held = atomic_load_explicit(&guard->held, memory_order_relaxed) - 1;

	if (here.running != guard)
		return;
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&guard->held, held, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (held == 0 && atomic_load_explicit(&guard->overdue, memory_order_relaxed))
		leave_call(guard, LP_GUARD_TIME);
}

bool lp_guard_is_deep(const struct lp_guard *guard)
{
	return here.running == guard && (char *)__builtin_frame_address(0) < guard->deep;
}

bool lp_guard_is_running(const struct lp_guard *guard)
{
	return guard && here.running == guard;
}

_Noreturn void lp_guard_give_up(struct lp_guard *guard)
{
	leave_call(guard, LP_GUARD_GIVEN_UP);
}
