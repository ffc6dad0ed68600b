/*
 * Two rings: the records by number, and the numbers in the order in which they ended. So a reader that follows sees every
 * connection once, when its outcome is known.
 *
 * A record's place is its number modulo the size; the number says whether it is still the same record. The memory is
 * mapped, not allocated: pages that were never written to cost nothing, so a balancer with little traffic has a small one.
 */
#include "admin/decisions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

/* Loads whose hooks' names are kept. */
#define LOADS 16

#define NAME_BYTES 128

/* The hooks of policies that were loaded together. */
struct load {
	unsigned number; /* 0: none. */
	size_t count;
	char (*names)[NAME_BYTES];
};

struct lp_decisions {
	uint64_t made;
	uint64_t ends;
	uint8_t salt[LP_DECISIONS_SALT_BYTES];
	unsigned loads;
	struct load load[LOADS];
	uint64_t outcomes[LP_OUTCOMES];
	uint64_t ended[LP_DECISIONS]; /* Numbers. */
	struct lp_decision records[LP_DECISIONS];
};

struct lp_decisions *lp_decisions_new(void)
{
	struct lp_decisions *decisions =
		mmap(NULL, sizeof(*decisions), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (decisions == MAP_FAILED)
		return NULL;
	if (getrandom(decisions->salt, sizeof(decisions->salt), 0) != (ssize_t)sizeof(decisions->salt)) {
		munmap(decisions, sizeof(*decisions));
		return NULL; /* Without it, a hash could be tried out. */
	}
	return decisions;
}

const uint8_t *lp_decisions_salt(const struct lp_decisions *decisions)
{
	return decisions->salt;
}

void lp_decisions_free(struct lp_decisions *decisions)
{
	if (!decisions)
		return;
	for (unsigned i = 0; i < LOADS; i++)
		free(decisions->load[i].names);
	munmap(decisions, sizeof(*decisions));
}

void lp_decisions_use_policy(struct lp_decisions *decisions, const struct lp_policy *policy)
{
	struct load *load = &decisions->load[++decisions->loads % LOADS];
	struct lp_policy_hook_place place;
	size_t count = 0;

	while (lp_policy_hook_place(policy, (lp_policy_cursor)count, &place))
		count++;
	free(load->names);
	*load = (struct load){.number = decisions->loads, .names = calloc(count ? count : 1, NAME_BYTES)};
	for (; load->names && load->count < count; load->count++) {
		lp_policy_hook_place(policy, (lp_policy_cursor)load->count, &place);
		snprintf(load->names[load->count], NAME_BYTES, "%s:%d %s%s%s%s", place.script, place.line, place.hook,
			 place.table ? " (" : "", place.table ? place.table : "", place.table ? ")" : "");
	}
}

static struct lp_decision *find_record(struct lp_decisions *decisions, uint64_t number)
{
	struct lp_decision *record = &decisions->records[number % LP_DECISIONS];

	return number && record->number == number ? record : NULL;
}

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Members are set one by one: most of a record is text that need not be cleared. */
static struct lp_decision *make_record(struct lp_decisions *decisions, const struct lp_decision_client *client)
{
	struct lp_decision *record = &decisions->records[++decisions->made % LP_DECISIONS];

	record->number = decisions->made;
	record->begun_ms = wall_ms() - (client->now_ms - client->begun_ms);
	record->listener = client->listener;
	record->decided_ms = 0;
	record->ended_ms = 0;
	record->ip = *client->ip;
	record->protocol = LP_PROTOCOL_UNSEEN;
	record->outcome = LP_OUTCOME_WAITS;
	record->verdict = LP_VERDICT_LOOK;
	record->port = client->port;
	record->load = (uint16_t)decisions->loads;
	record->hook = LP_DECISION_NO_HOOK;
	record->worker = 0;
	record->status = 0;
	record->returns = 0;
	record->policy_failed = 0;
	record->method_length = 0;
	record->target_length = 0;
	record->target_cut = false;
	record->session_length = 0;
	return record;
}

/* Copies what fits and returns how much that is. The room is copied whole where the text has as much: that is quicker. */
static uint8_t copy_text(char *room, size_t size, struct lp_slice text)
{
	size_t length = text.length < size ? text.length : size;

	memcpy(room, text.bytes, length);
	return (uint8_t)length;
}

static void note_view(struct lp_decision *record, const struct lp_policy_conn *view)
{
	const struct lp_policy_asked *asked = view->asked;
	struct lp_slice target = {.bytes = "", .length = 0};

	record->protocol = (uint8_t)view->protocol;
	if (view->protocol == LP_PROTOCOL_HTTP) {
		record->method_length = copy_text(record->method, sizeof(record->method), view->head->method);
		target = view->head->target;
	} else if (view->protocol == LP_PROTOCOL_TLS && view->hello->sni.bytes) {
		target = view->hello->sni;
	}
	record->target_length = copy_text(record->target, sizeof(record->target), target);
	record->target_cut = target.length > sizeof(record->target);
	if (!asked || !asked->length)
		return;
	record->session_length = asked->length;
	record->session_worker = asked->worker;
	memcpy(record->session, asked->key, sizeof(record->session));
}

void lp_decisions_decided(struct lp_decisions *decisions, uint64_t *number, const struct lp_decision_client *client,
			  const struct lp_policy_conn *view, const struct lp_verdict *verdict, lp_policy_cursor cursor,
			  bool failed)
{
	struct lp_decision *record = find_record(decisions, *number);

	if (!record)
		record = make_record(decisions, client);
	*number = record->number;
	note_view(record, view);
	record->decided_ms = (uint32_t)(client->now_ms - client->begun_ms);
	record->verdict = (uint8_t)verdict->kind;
	record->load = (uint16_t)decisions->loads;
	/* After a wish to wait the cursor stands at the hook that asked, after an answer after it. */
	record->hook = (uint16_t)(verdict->kind == LP_VERDICT_WORKER || verdict->kind == LP_VERDICT_REFUSE ? cursor - 1
				  : verdict->kind == LP_VERDICT_AWAIT || verdict->kind == LP_VERDICT_HOLD
					  ? cursor
					  : LP_DECISION_NO_HOOK);
	record->worker = (uint16_t)verdict->worker;
	record->outcome = LP_OUTCOME_WAITS;
	record->policy_failed |= failed;
}

void lp_decisions_sent(struct lp_decisions *decisions, uint64_t number, unsigned worker)
{
	struct lp_decision *record = find_record(decisions, number);

	if (!record)
		return;
	record->worker = (uint16_t)worker;
	record->outcome = LP_OUTCOME_SENT;
}

void lp_decisions_returned(struct lp_decisions *decisions, uint64_t number, unsigned worker,
			   enum lp_return_reason reason)
{
	struct lp_decision *record = find_record(decisions, number);

	if (!record)
		return;
	record->outcome = LP_OUTCOME_WAITS;
	record->returned_by = (uint16_t)worker;
	record->return_reason = (uint8_t)reason;
	if (record->returns < UINT16_MAX)
		record->returns++;
}

void lp_decisions_ended(struct lp_decisions *decisions, uint64_t number, const struct lp_decision_client *client,
			enum lp_outcome outcome, int status)
{
	struct lp_decision *record = number ? find_record(decisions, number) : make_record(decisions, client);

	decisions->outcomes[outcome]++;
	if (!record)
		return;
	record->ended_ms = (uint32_t)(client->now_ms - client->begun_ms);
	record->outcome = (uint8_t)outcome;
	record->status = (uint16_t)status;
	decisions->ended[++decisions->ends % LP_DECISIONS] = record->number;
}

uint64_t lp_decisions_count(const struct lp_decisions *decisions, enum lp_outcome outcome)
{
	return decisions->outcomes[outcome];
}

uint64_t lp_decisions_made(const struct lp_decisions *decisions)
{
	return decisions->made;
}

const struct lp_decision *lp_decisions_get(const struct lp_decisions *decisions, uint64_t number)
{
	const struct lp_decision *record = &decisions->records[number % LP_DECISIONS];

	return number && record->number == number ? record : NULL;
}

uint64_t lp_decisions_ends(const struct lp_decisions *decisions)
{
	return decisions->ends;
}

const struct lp_decision *lp_decisions_ended_as(const struct lp_decisions *decisions, uint64_t end)
{
	if (end == 0 || end > decisions->ends || decisions->ends - end >= LP_DECISIONS)
		return NULL;
	return lp_decisions_get(decisions, decisions->ended[end % LP_DECISIONS]);
}

const char *lp_decisions_decider(const struct lp_decisions *decisions, const struct lp_decision *decision)
{
	const struct load *load = &decisions->load[decision->load % LOADS];

	if (decision->hook == LP_DECISION_NO_HOOK || (uint16_t)load->number != decision->load ||
	    decision->hook >= load->count)
		return NULL;
	return load->names[decision->hook];
}
