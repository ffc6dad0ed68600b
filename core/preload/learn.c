/*
 * Engine.IO's open packet is `0{"sid":"…",…`, behind a line's end, a payload's colon, or a websocket frame's length.
 * Socket.IO's answer to a connect is `40{"sid":"…"}`: another kind of id, which no request ever carries. A key that is
 * split over two writes, or compressed, is not found.
 */
#include "preload/learn.h"

#include <string.h>
#include <strings.h>

/* The longest key that a worker can name. */
#define KEY_MAX 1024

static const struct lp_slice open_packet = {"0{\"sid\":\"", 9};

void lp_learn_init(struct lp_learn *learn, const char *text)
{
	memset(learn, 0, sizeof(*learn));
	while (text && *text && learn->count < LP_LEARN_MAX) {
		size_t length = strcspn(text, ",");
		bool is_cookie = strncmp(text, "cookie:", 7) == 0;
		bool is_header = strncmp(text, "header:", 7) == 0;
		if ((is_cookie || is_header) && length > 7 && length - 7 <= LP_LEARN_NAME_MAX) {
			struct lp_learn_rule *rule = &learn->rules[learn->count++];
			rule->is_cookie = is_cookie;
			memcpy(rule->name, text + 7, length - 7);
		}
		text += length + (text[length] == ',');
	}
}

static bool is_sid_byte(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       byte == '-' || byte == '_';
}

static void scan_for_sids(struct lp_slice bytes, void (*found)(void *owner, struct lp_slice key), void *owner)
{
	const char *end = bytes.bytes + bytes.length;
	const char *at = bytes.bytes;
	while ((at = memmem(at, (size_t)(end - at), open_packet.bytes, open_packet.length))) {
		bool is_connect = at > bytes.bytes && at[-1] == '4';
		const char *key = at += open_packet.length;
		while (at < end && is_sid_byte(*at))
			at++;
		if (!is_connect && at > key && at - key <= KEY_MAX && at < end && *at == '"')
			found(owner, (struct lp_slice){key, (size_t)(at - key)});
	}
}

/* The value behind a name: up to a line's end, and for a cookie up to a semicolon. */
static struct lp_slice value_at(const char *at, const char *end, bool is_cookie)
{
	while (at < end && *at == ' ')
		at++;
	const char *start = at;
	while (at<end && * at> ' ' && *at != 127 && !(is_cookie && *at == ';'))
		at++;
	/* Cut off where the piece ends: there may be more of it. */
	if (at == start || at == end || at - start > KEY_MAX)
		return (struct lp_slice){0};
	return (struct lp_slice){start, (size_t)(at - start)};
}

static struct lp_slice match_line(const struct lp_learn_rule *rule, const char *line, const char *end)
{
	static const struct lp_slice set_cookie = {"Set-Cookie:", 11};
	size_t length = strlen(rule->name);
	if (rule->is_cookie) {
		if ((size_t)(end - line) < set_cookie.length ||
		    strncasecmp(line, set_cookie.bytes, set_cookie.length) != 0)
			return (struct lp_slice){0};
		line += set_cookie.length;
		while (line < end && *line == ' ')
			line++;
		if ((size_t)(end - line) <= length || memcmp(line, rule->name, length) != 0 || line[length] != '=')
			return (struct lp_slice){0};
	} else if ((size_t)(end - line) <= length || strncasecmp(line, rule->name, length) != 0 ||
		   line[length] != ':') {
		return (struct lp_slice){0};
	}
	return value_at(line + length + 1, end, rule->is_cookie);
}

bool lp_learn_scan(const struct lp_learn *learn, struct lp_slice bytes, bool head,
		   void (*found)(void *owner, struct lp_slice key), void *owner)
{
	const char *end = bytes.bytes + bytes.length;
	scan_for_sids(bytes, found, owner);
	for (const char *line = bytes.bytes; learn->count && head && line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		for (unsigned i = 0; i < learn->count; i++) {
			struct lp_slice key = match_line(&learn->rules[i], line, end);
			if (key.bytes)
				found(owner, key);
		}
		if (!newline)
			break;
		head = newline - line > (*line == '\r');
		line = newline + 1;
	}
	return head;
}
