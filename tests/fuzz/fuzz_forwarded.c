/*
 * X-Forwarded-For and Forwarded. The input is headers, one a line.
 *
 * Taken as they are, they may name anybody who is an address. Taken as what a client invented before a trusted proxy
 * added whom it saw, they decide nothing, whatever is in them.
 */
#include <errno.h>
#include <stdbool.h>

#include "base/error.h"
#include "fuzz.h"
#include "route/forwarded.h"

enum { INPUT_MAX = 4096 };

static const char *const peers[] = {"10.0.0.1", "fd00::1", "198.51.100.4"};
enum { TRUSTED_PEERS = 2 };

static struct lp_ip ip_of(const char *text)
{
	struct lp_ip ip;

	FUZZ_CHECK(lp_ip_parse(text, strlen(text), &ip) == 0);
	return ip;
}

/* Put headers into a request. Returns whether it has the form of one. */
static bool make_head(struct lp_head *head, char *out, const char *before, const uint8_t *bytes, size_t length,
		      const char *behind)
{
	static const char begin[] = "GET / HTTP/1.1\r\n";
	char *at = out;

	at = stpcpy(stpcpy(at, begin), before);
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n')
			*at++ = '\r';
		*at++ = (char)bytes[i];
	}
	at = stpcpy(stpcpy(at, behind), "\r\n\r\n");
	return lp_head_parse(head, out, (size_t)(at - out)) == (int)(at - out) && lp_head_headers(head, NULL) > 0;
}

static void check_as_it_is(const struct lp_head *head, const struct lp_trust *trust)
{
	struct lp_ip client;

	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct lp_ip peer = ip_of(peers[i]);
		int status = lp_forwarded_client(head, &peer, trust, &client);

		if (i >= TRUSTED_PEERS)
			FUZZ_CHECK(status == 0 && lp_ip_equal(&client, &peer));
		FUZZ_CHECK(status == 0 || status == -EINVAL);
		FUZZ_CHECK(status != 0 || client.family == LP_FAMILY_IPV4 || client.family == LP_FAMILY_IPV6);
	}
}

/* What two trusted proxies wrote at the right end, or in a header of their own, is what counts. */
static void check_invented(struct lp_head *head, char *room, const struct lp_trust *trust, const uint8_t *bytes,
			   size_t length)
{
	static const struct {
		enum lp_forwarded_header header;
		const char *before;
		const char *behind;
	} cases[] = {
		{LP_X_FORWARDED_FOR, "X-Forwarded-For: ", ", 203.0.113.7"},
		{LP_X_FORWARDED_FOR, "X-Forwarded-For: ", ",203.0.113.7:80, [fd00::2]:1, 10.0.0.2"},
		{LP_X_FORWARDED_FOR, "X-Forwarded-For: ", "\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.2"},
		{LP_X_FORWARDED_FOR, "Forwarded: ", "\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.2"},
		{LP_X_REAL_IP, "X-Forwarded-For: ", "\r\nX-Real-IP: 203.0.113.7"},
		{LP_FORWARDED, "Forwarded: ", ", for=203.0.113.7"},
		{LP_FORWARDED, "Forwarded: ", ",by=10.0.0.3;FOR=\"203.0.113.7:_x\";proto=http, for=\"[fd00::2]\""},
		{LP_FORWARDED, "Forwarded: ", "\r\nForwarded: for=203.0.113.7"},
	};
	const struct lp_ip expected = ip_of("203.0.113.7");
	const struct lp_ip peer = ip_of(peers[0]);
	const uint8_t *line_end = memchr(bytes, '\n', length);
	struct lp_ip client;

	if (line_end)
		length = (size_t)(line_end - bytes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].header != trust->header)
			continue;
		if (!make_head(head, room, cases[i].before, bytes, length, cases[i].behind))
			return;
		FUZZ_CHECK(lp_forwarded_client(head, &peer, trust, &client) == 0);
		FUZZ_CHECK(lp_ip_equal(&client, &expected));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct lp_head *head;
	static struct lp_network networks[2];
	static char room[INPUT_MAX * 2 + 512];

	if (!head) {
		head = lp_head_new(sizeof(room));
		FUZZ_CHECK(head);
		FUZZ_CHECK(lp_network_parse("10.0.0.0/8", &networks[0], NULL) == 0);
		FUZZ_CHECK(lp_network_parse("fd00::/8", &networks[1], NULL) == 0);
	}
	if (length == 0 || length > INPUT_MAX)
		return 0;
	for (int header = 0; header < LP_FORWARDED_HEADERS; header++) {
		const struct lp_trust trust = {networks, 2, (enum lp_forwarded_header)header};

		if (make_head(head, room, "", bytes, length, ""))
			check_as_it_is(head, &trust);
		check_invented(head, room, &trust, bytes, length);
	}
	return 0;
}
