/*
 * Each proxy writes its peer at the right end of the list. So the walk goes from the right, and reads no
 * more than it has to: what stands to the left of the client is the client's own invention and decides nothing, not
 * even by being malformed. That is why Forwarded, whose quoted strings may hold commas, is cut from the right too: an
 * open quote from a client cannot swallow what the proxies wrote after it.
 *
 * Empty list elements are passed over (RFC 9110, 5.6.1.2). An element of Forwarded without `for` names nobody, and so
 * is as good as garbage.
 */
#include "route/forwarded.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* The longest node worth reading: "[", an address, "]:", and a port. */
enum { NODE_MAX = LP_IP_TEXT_SIZE + 16 };

/* How a header writes its list of addresses. */
struct notation {
	struct lp_slice name;
	int (*read)(struct lp_slice element, struct lp_ip *ip);
};

/* A port's number, or the made-up word that RFC 7239 allows in its place; the address counts either way. */
static bool is_port(struct lp_slice port)
{
	bool made_up = port.length > 1 && port.bytes[0] == '_';

	for (size_t i = 0; i < port.length; i++) {
		char c = port.bytes[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';

		if (!(c >= '0' && c <= '9') && !(made_up && letter))
			return false;
	}
	return made_up || (port.length >= 1 && port.length <= 5);
}

static int read_bracketed(struct lp_slice node, struct lp_ip *ip)
{
	const char *close = memchr(node.bytes, ']', node.length);
	struct lp_slice behind;

	if (!close)
		return -EINVAL;
	behind = (struct lp_slice){close + 1, (size_t)(node.bytes + node.length - close - 1)};
	if (behind.length > 0 && (behind.bytes[0] != ':' || !is_port((struct lp_slice){close + 2, behind.length - 1})))
		return -EINVAL;
	if (!memchr(node.bytes, ':', (size_t)(close - node.bytes)))
		return -EINVAL; /* IPv4 takes no brackets. */
	return lp_ip_parse(node.bytes + 1, (size_t)(close - node.bytes - 1), ip);
}

/* Read `ip`, `ip:port`, `[v6]`, `[v6]:port`, or an IPv6 address as it is. */
static int read_node(struct lp_slice node, struct lp_ip *ip)
{
	const char *colon;

	if (node.length == 0)
		return -EINVAL;
	if (node.bytes[0] == '[')
		return read_bracketed(node, ip);
	colon = memchr(node.bytes, ':', node.length);
	if (colon && colon == memrchr(node.bytes, ':', node.length)) {
		struct lp_slice port = {colon + 1, (size_t)(node.bytes + node.length - colon - 1)};

		if (!is_port(port))
			return -EINVAL;
		node.length = (size_t)(colon - node.bytes);
	}
	return lp_ip_parse(node.bytes, node.length, ip);
}

/* Read the value of `for`: a node, or one in a quoted string. A quote that is left over inside makes it no address. */
static int read_value(struct lp_slice value, struct lp_ip *ip)
{
	char text[NODE_MAX];
	size_t length = 0;

	if (value.length < 2 || value.bytes[0] != '"' || value.bytes[value.length - 1] != '"')
		return read_node(value, ip);
	for (size_t i = 1; i < value.length - 1; i++) {
		if (value.bytes[i] == '\\')
			i++;
		if (length == sizeof(text))
			return -EINVAL;
		text[length++] = value.bytes[i];
	}
	return read_node((struct lp_slice){text, length}, ip);
}

/* Cut the first `name=value` off the front of an element: what stands before a ';' outside of quotes. */
static struct lp_slice take_pair(struct lp_slice *element)
{
	struct lp_slice pair = {element->bytes, 0};
	bool quoted = false;

	while (pair.length < element->length) {
		char c = pair.bytes[pair.length];

		if (c == ';' && !quoted)
			break;
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted && pair.length + 1 < element->length)
			pair.length++;
		pair.length++;
	}
	element->bytes += pair.length;
	element->length -= pair.length;
	if (element->length > 0) {
		element->bytes++;
		element->length--;
	}
	return lp_head_trim(pair);
}

/* Read the `for` of one element of Forwarded, such as `for="[2001:db8::1]:4711";proto=https`. */
static int read_element(struct lp_slice element, struct lp_ip *ip)
{
	static const char name[] = "for=";
	const size_t name_length = sizeof(name) - 1;
	bool found = false;

	while (element.length > 0) {
		struct lp_slice pair = take_pair(&element);

		if (pair.length < name_length || strncasecmp(pair.bytes, name, name_length) != 0)
			continue;
		pair.bytes += name_length;
		pair.length -= name_length;
		if (found || read_value(pair, ip) < 0)
			return -EINVAL;
		found = true;
	}
	return found ? 0 : -EINVAL;
}

/* Whether the byte before at is escaped: after an odd number of backslashes. */
static bool is_escaped(const char *begin, const char *at)
{
	const char *slash = at;

	while (slash > begin && slash[-1] == '\\')
		slash--;
	return (at - slash) % 2 == 1;
}

/* Cut the last element off the end of a list: what stands after a ',' outside of quotes. */
static struct lp_slice take_last(struct lp_slice *list)
{
	const char *end = list->bytes + list->length;
	const char *at = end;
	bool quoted = false;

	while (at > list->bytes && (at[-1] != ',' || quoted)) {
		at--;
		if (*at == '"' && !is_escaped(list->bytes, at))
			quoted = !quoted;
	}
	list->length = at > list->bytes ? (size_t)(at - list->bytes - 1) : 0;
	return lp_head_trim((struct lp_slice){at, (size_t)(end - at)});
}

static bool is_trusted(const struct lp_trust *trust, const struct lp_ip *ip)
{
	for (size_t i = 0; i < trust->count; i++)
		if (lp_network_contains(&trust->networks[i], ip))
			return true;
	return ip->family == LP_FAMILY_UNIX && trust->count > 0;
}

/* Walk one header's list from the right. Returns 1 with client filled, 0 without any element, or -EINVAL. */
static int walk_header_from_right(const struct lp_head *head, const struct notation *notation,
				  const struct lp_trust *trust, struct lp_ip *client)
{
	const struct lp_header *header = NULL;
	int found = 0;

	while ((header = lp_head_header_last(head, notation->name, header))) {
		struct lp_slice list = header->value;

		while (list.length > 0) {
			struct lp_slice element = take_last(&list);

			if (element.length == 0)
				continue;
			if (notation->read(element, client) < 0)
				return -EINVAL;
			found = 1;
			if (!is_trusted(trust, client))
				return found;
		}
	}
	return found;
}

static const struct notation notations[LP_FORWARDED_HEADERS] = {
	[LP_X_FORWARDED_FOR] = {{"x-forwarded-for", 15}, read_node},
	[LP_FORWARDED] = {{"forwarded", 9}, read_element},
	[LP_X_REAL_IP] = {{"x-real-ip", 9}, read_node},
};

bool lp_forwarded_header_find(const char *name, enum lp_forwarded_header *header)
{
	for (int i = 0; i < LP_FORWARDED_HEADERS; i++)
		if (strcasecmp(notations[i].name.bytes, name) == 0) {
			*header = (enum lp_forwarded_header)i;
			return true;
		}
	return false;
}

int lp_forwarded_client(const struct lp_head *head, const struct lp_ip *peer, const struct lp_trust *trust,
			struct lp_ip *client)
{
	struct lp_ip named = *peer;

	if (is_trusted(trust, peer) && walk_header_from_right(head, &notations[trust->header], trust, &named) < 0)
		return -EINVAL;
	*client = named;
	return 0;
}
