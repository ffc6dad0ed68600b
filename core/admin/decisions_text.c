/*
 * A session's id is as good as a password, so what is shown of it is a hash, with a salt of this process: two lines about
 * one session look alike, and nobody can use them. A query is left out for the same reason. `reveal` shows both; who may
 * ask is the owner of the control socket.
 */
#include "admin/decisions_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/sha256.h"

/* Hexadecimal digits of a session's hash. */
#define HASH_DIGITS 12

/* A search, taken apart. */
struct search {
	const struct lp_decisions_question *question;
	struct lp_slice text;
	struct lp_ip ip;
	bool has_ip;
	long port;       /* -1: any. */
	uint64_t number; /* 0: any. */
};

static struct lp_slice session_of(const struct lp_decision *record)
{
	size_t kept =
		record->session_length < sizeof(record->session) ? record->session_length : sizeof(record->session);

	return (struct lp_slice){record->session, kept};
}

static void hash_session(const struct lp_decisions *decisions, const struct lp_decision *record, char *text)
{
	uint8_t bytes[LP_DECISIONS_SALT_BYTES + sizeof(record->session) + sizeof(record->session_length)];
	uint8_t digest[LP_SHA256_BYTES];
	char whole[LP_SHA256_TEXT_SIZE];
	struct lp_slice session = session_of(record);
	size_t length = LP_DECISIONS_SALT_BYTES;

	memcpy(bytes, lp_decisions_salt(decisions), length);
	memcpy(bytes + length, session.bytes, session.length);
	length += session.length;
	memcpy(bytes + length, &record->session_length, sizeof(record->session_length));
	lp_sha256(bytes, length + sizeof(record->session_length), digest);
	lp_sha256_format(digest, whole);
	snprintf(text, HASH_DIGITS + 1, "%.*s", HASH_DIGITS, whole);
}

static void put_time(FILE *out, uint64_t at_ms)
{
	char text[LP_CLOCK_TEXT_SIZE];

	lp_clock_format((time_t)(at_ms / 1000), text);
	fprintf(out, "\"%.19s.%03uZ\"", text, (unsigned)(at_ms % 1000));
}

static void put_text(FILE *out, const char *name, struct lp_slice text)
{
	fprintf(out, ",\"%s\":", name);
	if (text.bytes)
		lp_json_put_string(out, text);
	else
		fputs("null", out);
}

static struct lp_slice slice_of(const char *text)
{
	return (struct lp_slice){text, text ? strlen(text) : 0};
}

/* What the client asked for. A query can hold a session's id, or worse. */
static void put_request(FILE *out, const struct lp_decisions_question *question, const struct lp_decision *record)
{
	static const char *const protocols[] = {
		[LP_PROTOCOL_UNSEEN] = "unseen",
		[LP_PROTOCOL_HTTP] = "http",
		[LP_PROTOCOL_TLS] = "tls",
		[LP_PROTOCOL_OTHER] = "other",
	};
	struct lp_slice target = {record->target, record->target_length};
	const char *query = memchr(target.bytes, '?', target.length);
	bool hidden = query && !question->reveal;
	const struct lp_slice none = {0};

	fprintf(out, ",\"protocol\":\"%s\"", protocols[record->protocol]);
	if (hidden)
		target.length = (size_t)(query - target.bytes);
	put_text(out, "method",
		 record->protocol == LP_PROTOCOL_HTTP ? (struct lp_slice){record->method, record->method_length}
						      : none);
	put_text(out, "target", record->protocol == LP_PROTOCOL_HTTP ? target : none);
	put_text(out, "sni", record->protocol == LP_PROTOCOL_TLS && target.length ? target : none);
	fprintf(out, ",\"target_cut\":%s", hidden || record->target_cut ? "true" : "false");
}

static void put_session(FILE *out, const struct lp_decisions_question *question, const struct lp_decision *record)
{
	char hash[HASH_DIGITS + 1] = "";

	if (record->session_length)
		hash_session(question->decisions, record, hash);
	put_text(out, "session", record->session_length ? slice_of(hash) : (struct lp_slice){0});
	if (question->reveal)
		put_text(out, "session_id", record->session_length ? session_of(record) : (struct lp_slice){0});
	fprintf(out, ",\"session_worker\":%u", record->session_length ? (unsigned)record->session_worker : 0u);
}

static void put_decision(FILE *out, const struct lp_decisions_question *question, const struct lp_decision *record)
{
	static const char *const verdicts[] = {
		[LP_VERDICT_NONE] = "least_busy",
		[LP_VERDICT_WORKER] = "worker",
		[LP_VERDICT_REFUSE] = "refuse",
		[LP_VERDICT_LOOK] = "undecided",
		[LP_VERDICT_HEAR] = "wait",
		[LP_VERDICT_AWAIT] = "wait_for_session",
		[LP_VERDICT_HOLD] = "wait_for_worker",
	};

	fprintf(out, ",\"decision\":\"%s\"", verdicts[record->verdict]);
	put_text(out, "decided_by", slice_of(lp_decisions_decider(question->decisions, record)));
	fprintf(out, ",\"policy_failed\":%s,\"worker\":%u,\"decided_after_ms\":%" PRIu32,
		record->policy_failed ? "true" : "false", record->worker, record->decided_ms);
}

static void put_outcome(FILE *out, const struct lp_decision *record)
{
	static const char *const words[] = {LP_OUTCOME_EACH(LP_OUTCOME_WORD)};
	static const char *const reasons[] = {
		[LP_RETURN_LOST] = "lost",
		[LP_RETURN_REFUSED] = "refused",
		[LP_RETURN_NO_ROOM] = "no_room",
		[LP_RETURN_NO_SERVER] = "no_server",
	};

	fprintf(out, ",\"returns\":%u", record->returns);
	if (record->returns)
		fprintf(out, ",\"returned_by\":%u,\"return_reason\":\"%s\"", record->returned_by,
			reasons[record->return_reason]);
	fprintf(out, ",\"outcome\":\"%s\",\"status\":%u,\"ended_after_ms\":%" PRIu32, words[record->outcome],
		record->status, record->ended_ms);
}

static void put_record(FILE *out, const struct lp_decisions_question *question, const struct lp_decision *record)
{
	char client[LP_IP_TEXT_SIZE];

	lp_ip_format(&record->ip, client);
	fprintf(out, "{\"number\":%" PRIu64 ",\"time\":", record->number);
	put_time(out, record->begun_ms);
	put_text(out, "client", slice_of(client));
	fprintf(out, ",\"port\":%u", record->port);
	put_text(out, "listener", slice_of(record->listener));
	put_request(out, question, record);
	put_session(out, question, record);
	put_decision(out, question, record);
	put_outcome(out, record);
	fputc('}', out);
}

/* Searching */

/* "192.0.2.7", "192.0.2.7:5000", "2001:db8::1", "[2001:db8::1]:5000" */
static void parse_client(struct search *search)
{
	const char *text = search->text.bytes;
	size_t length = search->text.length;
	const char *colon = memrchr(text, ':', length);

	search->port = -1;
	search->has_ip = lp_ip_parse(text, length, &search->ip) == 0;
	if (search->has_ip || !colon)
		return;
	length = (size_t)(colon - text);
	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	search->has_ip = lp_ip_parse(text, length, &search->ip) == 0;
	search->port = strtol(colon + 1, NULL, 10);
}

/* Whether the target names the session in its query: policies need not have asked for it. */
static bool has_sid(const struct lp_decision *record, struct lp_slice sid)
{
	const char *at = record->target;
	const char *end = record->target + record->target_length;

	while ((at = memmem(at, (size_t)(end - at), "sid=", 4))) {
		bool begins = at > record->target && (at[-1] == '?' || at[-1] == '&');

		at += 4;
		if (begins && (size_t)(end - at) >= sid.length && memcmp(at, sid.bytes, sid.length) == 0 &&
		    (at + sid.length == end || at[sid.length] == '&' || at[sid.length] == '#'))
			return true;
	}
	return false;
}

static bool has_session(const struct search *search, const struct lp_decision *record)
{
	char hash[HASH_DIGITS + 1];
	struct lp_slice session = session_of(record);
	struct lp_slice text = search->text;

	if (!record->session_length)
		return false;
	if (text.length == record->session_length && memcmp(text.bytes, session.bytes, session.length) == 0)
		return true;
	if (text.length != HASH_DIGITS)
		return false;
	hash_session(search->question->decisions, record, hash);
	return memcmp(hash, text.bytes, HASH_DIGITS) == 0;
}

static bool matches_search(const struct search *search, const struct lp_decision *record)
{
	if (search->text.length == 0)
		return true;
	if (search->number)
		return record->number == search->number;
	if (search->has_ip)
		return lp_ip_equal(&search->ip, &record->ip) && (search->port < 0 || search->port == record->port);
	return has_session(search, record) || has_sid(record, search->text);
}

/* Finds the newest ones that match, and returns how many. */
static unsigned find_newest(const struct search *search, const struct lp_decision **found)
{
	uint64_t number = lp_decisions_made(search->question->decisions);
	unsigned count = 0;

	for (uint64_t seen = 0; seen < LP_DECISIONS && number > 0 && count < search->question->count;
	     seen++, number--) {
		const struct lp_decision *record = lp_decisions_get(search->question->decisions, number);

		if (record && matches_search(search, record))
			found[count++] = record;
	}
	return count;
}

static char *finish_text(FILE *out, char **text)
{
	bool failed = ferror(out) != 0;

	if (fclose(out) == 0 && !failed)
		return *text;
	free(*text);
	return NULL;
}

char *lp_decisions_search(const struct lp_decisions_question *question)
{
	struct search search = {.question = question, .text = slice_of(question->wanted)};
	const struct lp_decision **found = calloc(question->count, sizeof(*found));
	char *text = NULL;
	size_t length;
	FILE *out = found ? open_memstream(&text, &length) : NULL;
	unsigned count;

	if (!out) {
		free(found);
		return NULL;
	}
	if (question->wanted[0] == '#')
		search.number = strtoull(question->wanted + 1, NULL, 10);
	parse_client(&search);
	count = find_newest(&search, found);
	fprintf(out, "{\"made\":%" PRIu64 ",\"decisions\":[", lp_decisions_made(question->decisions));
	for (unsigned i = count; i > 0; i--) {
		put_record(out, question, found[i - 1]);
		fputs(i > 1 ? ",\n" : "", out);
	}
	fputs("]}\n", out);
	free(found);
	return finish_text(out, &text);
}

char *lp_decisions_follow(const struct lp_decisions_question *question)
{
	uint64_t ends = lp_decisions_ends(question->decisions);
	uint64_t after = question->after > ends ? ends : question->after;
	uint64_t oldest = ends > LP_DECISIONS ? ends - LP_DECISIONS : 0;
	uint64_t missed = after < oldest ? oldest - after : 0;
	unsigned count = 0;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	after += missed;
	fputs("{\"decisions\":[", out);
	for (; after < ends && count < question->count; after++) {
		const struct lp_decision *record = lp_decisions_ended_as(question->decisions, after + 1);

		if (!record) { /* It waited so long that its record was overwritten. */
			missed++;
			continue;
		}
		fputs(count++ ? ",\n" : "", out);
		put_record(out, question, record);
	}
	fprintf(out, "],\"next\":%" PRIu64 ",\"missed\":%" PRIu64 "}\n", after, missed);
	return finish_text(out, &text);
}
