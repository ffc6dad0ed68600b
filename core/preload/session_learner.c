/*
 * Engine.IO's open packet is `0{"sid":"…",…`. Socket.IO's answer to a connect is `40{"sid":"…"}`: another kind of id, which no
 * request ever carries.
 */
#include "preload/session_learner.h"

#include <string.h>
#include <strings.h>

#include "preload/http_framing.h"

/* The longest key that a worker can name. */
#define KEY_MAX 1024

/* "NAME" or "NAME=CARRIED". Returns whether it is sound. */
static bool read_names(struct lp_session_learner_rule *rule, const char *text, size_t length)
{
	const char *equals = memchr(text, '=', length);
	size_t name = equals ? (size_t)(equals - text) : length;
	size_t carried = equals ? length - name - 1 : 0;
	if (!name || name > LP_LEARN_NAME_MAX || carried > LP_LEARN_NAME_MAX)
		return false;
	memcpy(rule->name, text, name);
	if (carried)
		memcpy(rule->carried, equals + 1, carried);
	return true;
}

void lp_session_learner_init(struct lp_session_learner *learn, const char *text)
{
	memset(learn, 0, sizeof(*learn));
	while (text && *text && learn->count < LP_LEARN_MAX) {
		struct lp_session_learner_rule *rule = &learn->rules[learn->count];
		size_t length = strcspn(text, ",");
		bool is_header = strncmp(text, "header:", 7) == 0;
		rule->is_cookie = strncmp(text, "cookie:", 7) == 0;
		learn->count += (rule->is_cookie || is_header) && read_names(rule, text + 7, length - 7);
		text += length + (text[length] == ',');
	}
}

/* What requests carry */

static uint64_t hash_of(struct lp_slice value)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < value.length; i++)
		hash = (hash ^ (unsigned char)value.bytes[i]) * 1099511628211u;
	return hash;
}

static void note_carried(struct lp_carried *carried, struct lp_slice value)
{
	if (!value.length)
		return;
	if (carried->count < LP_CARRIED_MAX)
		carried->hashes[carried->count] = hash_of(value);
	if (carried->count <= LP_CARRIED_MAX)
		carried->count++;
}

static bool is_carried(const struct lp_carried *carried, struct lp_slice value)
{
	if (carried->count > LP_CARRIED_MAX)
		return true;
	uint64_t hash = hash_of(value);
	for (uint32_t i = 0; i < carried->count; i++)
		if (carried->hashes[i] == hash)
			return true;
	return false;
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* Up to a blank, a control character or, in a cookie, a semicolon. */
static struct lp_slice read_value(const char *at, const char *end, bool is_cookie)
{
	const char *start = at = skip_blanks(at, end);
	while (at<end && * at> ' ' && *at != 127 && !(is_cookie && *at == ';'))
		at++;
	return (struct lp_slice){start, (size_t)(at - start)};
}

/* Each "name=value" of a Cookie header's value. */
static void carry_cookies(struct lp_carried *carried, const char *name, struct lp_slice value)
{
	size_t length = strlen(name);
	const char *at = value.bytes;
	const char *end = value.bytes + value.length;
	while (at) {
		const char *next = memchr(at, ';', (size_t)(end - at));
		at = skip_blanks(at, end);
		if ((size_t)(end - at) > length && memcmp(at, name, length) == 0 && at[length] == '=')
			note_carried(carried, read_value(at + length + 1, end, true));
		at = next ? next + 1 : NULL;
	}
}

static void carry_header(struct lp_carried *carried, const char *name, struct lp_slice header, struct lp_slice value)
{
	if (lp_http_is_name(header, name))
		note_carried(carried, read_value(value.bytes, value.bytes + value.length, false));
	else if (lp_http_is_name(header, "Cookie"))
		carry_cookies(carried, name, value);
}

static void carry_line(const struct lp_session_learner *learn, struct lp_carried *carried, struct lp_slice line)
{
	struct lp_framing unused = {0};
	struct lp_slice value;
	struct lp_slice header = lp_framing_take(&unused, line, &value);
	for (unsigned i = 0; i < learn->count && header.bytes; i++) {
		carry_header(carried, learn->rules[i].name, header, value);
		if (*learn->rules[i].carried)
			carry_header(carried, learn->rules[i].carried, header, value);
	}
}

void lp_session_learner_carried(const struct lp_session_learner *learn, const struct lp_http_request *request,
				struct lp_carried *carried)
{
	carried->count = 0;
	if (!learn->count)
		return;
	if (!request->headers.bytes) { /* Too long to be looked at. */
		carried->count = LP_CARRIED_MAX + 1;
		return;
	}
	for (unsigned i = 0; i < learn->count; i++) {
		note_carried(carried, lp_http_request_parameter(request->query, learn->rules[i].name));
		if (*learn->rules[i].carried)
			note_carried(carried, lp_http_request_parameter(request->query, learn->rules[i].carried));
	}
	const char *end = request->headers.bytes + request->headers.length;
	for (const char *at = request->headers.bytes; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;
		carry_line(learn, carried,
			   (struct lp_slice){at, (size_t)(stop - at) - (stop > at && stop[-1] == '\r')});
		at = newline ? newline + 1 : end;
	}
}

/* What responses tell */

static struct lp_slice match_header(const struct lp_session_learner_rule *rule, struct lp_slice line)
{
	static const char set_cookie[] = "Set-Cookie:";
	const char *at = line.bytes;
	const char *end = line.bytes + line.length;
	size_t length = strlen(rule->name);
	if (rule->is_cookie) {
		if (line.length < sizeof(set_cookie) - 1 || strncasecmp(at, set_cookie, sizeof(set_cookie) - 1) != 0)
			return (struct lp_slice){0};
		at = skip_blanks(at + sizeof(set_cookie) - 1, end);
	}
	if ((size_t)(end - at) <= length || at[length] != (rule->is_cookie ? '=' : ':'))
		return (struct lp_slice){0};
	bool same = rule->is_cookie ? memcmp(at, rule->name, length) == 0 : strncasecmp(at, rule->name, length) == 0;
	if (!same)
		return (struct lp_slice){0};
	return read_value(at + length + 1, end, rule->is_cookie);
}

struct lp_slice lp_session_learner_header(const struct lp_session_learner *learn, struct lp_slice line,
					  const struct lp_carried *carried)
{
	for (unsigned i = 0; i < learn->count; i++) {
		struct lp_slice key = match_header(&learn->rules[i], line);
		if (key.length && key.length <= KEY_MAX && !is_carried(carried, key))
			return key;
	}
	return (struct lp_slice){0};
}

/* Open packets */

/* Reading on; `more` is set where the bytes end too early to tell. */
struct cursor {
	const char *at;
	const char *end;
	bool more;
};

/* Whether a text comes next; then it is passed. */
static bool skip_text(struct cursor *cursor, const char *text)
{
	size_t length = strlen(text);
	size_t left = (size_t)(cursor->end - cursor->at);
	if (memcmp(cursor->at, text, left < length ? left : length) != 0)
		return false;
	cursor->more |= left < length;
	if (left < length)
		return false;
	cursor->at += length;
	return true;
}

static void pass_digits(struct cursor *cursor, char zero)
{
	while (cursor->at < cursor->end && (unsigned char)(*cursor->at - zero) < 10)
		cursor->at++;
	cursor->more |= cursor->at == cursor->end;
}

/* `12:` before a packet of version 3; or, in its binary form, a 0, the digits as numbers, and 255. */
static void pass_length(struct cursor *cursor)
{
	const char *start = cursor->at;
	bool binary = cursor->at < cursor->end && !*cursor->at;
	cursor->at += binary;
	const char *digits = cursor->at;
	pass_digits(cursor, binary ? 0 : '0');
	if (cursor->more)
		return;
	if (cursor->at > digits && *cursor->at == (binary ? '\xff' : ':'))
		cursor->at++;
	else
		cursor->at = start;
}

static bool is_key_byte(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       byte == '-' || byte == '_';
}

enum lp_session_learner_open lp_session_learner_open(struct lp_slice body, struct lp_slice *key)
{
	struct cursor cursor = {.at = body.bytes, .end = body.bytes + body.length};
	bool is_jsonp = skip_text(&cursor, "___eio[");
	if (is_jsonp) {
		pass_digits(&cursor, '0');
		if (!cursor.more && !skip_text(&cursor, "](\""))
			return cursor.more ? LP_OPEN_MORE : LP_OPEN_NONE;
	}
	if (!cursor.more)
		pass_length(&cursor);
	if (!cursor.more && !skip_text(&cursor, is_jsonp ? "0{\\\"sid\\\":\\\"" : "0{\"sid\":\""))
		return cursor.more ? LP_OPEN_MORE : LP_OPEN_NONE;
	if (cursor.more)
		return LP_OPEN_MORE;
	const char *start = cursor.at;
	while (cursor.at < cursor.end && is_key_byte(*cursor.at))
		cursor.at++;
	*key = (struct lp_slice){start, (size_t)(cursor.at - start)};
	if (key->length > KEY_MAX)
		return LP_OPEN_NONE;
	if (cursor.at == cursor.end)
		return LP_OPEN_MORE;
	return key->length && *cursor.at == (is_jsonp ? '\\' : '"') ? LP_OPEN_KEY : LP_OPEN_NONE;
}
