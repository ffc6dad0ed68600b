/*
 * Addresses to text and back.
 *
 * inet_pton is as strict as wanted (four decimal numbers without leading zeros), and inet_ntop writes RFC 5952; only
 * IPv4 is formatted by hand, because that happens for every connection. getaddrinfo is not strict: it reads "010.1.1.1"
 * and "127.1" as inet_aton did in 1983, so what inet_aton would take never reaches it.
 *
 * Limits: no zones (fe80::1%eth0), and of a name's addresses only the first.
 */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LISTEN_FORMS ":3000 (IPv4 and IPv6), 127.0.0.1:3000, [::1]:3000 or unix:/run/app.sock"

/* What stands before an IPv4 address inside IPv6, in bits and in bytes. */
enum { MAPPED_BITS = 96, MAPPED_BYTES = MAPPED_BITS / 8 };

static void set_ipv4(struct lp_ip *ip, const void *bytes)
{
	*ip = (struct lp_ip){.family = LP_FAMILY_IPV4};
	memcpy(ip->bytes, bytes, 4);
}

static void set_ipv6(struct lp_ip *ip, const struct in6_addr *address)
{
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		set_ipv4(ip, address->s6_addr + MAPPED_BYTES);
		return;
	}
	ip->family = LP_FAMILY_IPV6;
	memcpy(ip->bytes, address->s6_addr, sizeof(ip->bytes));
}

int lp_ip_parse(const char *text, size_t length, struct lp_ip *ip)
{
	char copy[LP_IP_TEXT_SIZE];
	struct in6_addr in6;
	struct in_addr in;

	if (length == 0 || length >= sizeof(copy) || memchr(text, '\0', length))
		return -EINVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (inet_pton(AF_INET, copy, &in) == 1)
		set_ipv4(ip, &in);
	else if (inet_pton(AF_INET6, copy, &in6) == 1)
		set_ipv6(ip, &in6);
	else
		return -EINVAL;
	return 0;
}

static char *put_byte(char *out, unsigned byte)
{
	if (byte >= 100)
		*out++ = (char)('0' + byte / 100);
	if (byte >= 10)
		*out++ = (char)('0' + byte / 10 % 10);
	*out++ = (char)('0' + byte % 10);
	return out;
}

size_t lp_ip_format(const struct lp_ip *ip, char *text)
{
	char *out = text;

	switch (ip->family) {
	case LP_FAMILY_IPV4:
		for (int i = 0; i < 4; i++) {
			out = put_byte(out, ip->bytes[i]);
			*out++ = '.';
		}
		out--;
		break;
	case LP_FAMILY_IPV6:
		inet_ntop(AF_INET6, ip->bytes, text, LP_IP_TEXT_SIZE);
		return strlen(text);
	}
	*out = '\0';
	return (size_t)(out - text);
}

void lp_ip_from_socket(const struct sockaddr *address, struct lp_ip *ip, uint16_t *port)
{
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		set_ipv4(ip, &in->sin_addr);
		*port = ntohs(in->sin_port);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		set_ipv6(ip, &in6->sin6_addr);
		*port = ntohs(in6->sin6_port);
	} else {
		*ip = (struct lp_ip){.family = LP_FAMILY_UNIX};
		*port = 0;
	}
}

bool lp_ip_equal(const struct lp_ip *a, const struct lp_ip *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* A decimal number that is all of text, from 0 to max; or -1. */
static long parse_decimal(const char *text, long max)
{
	long value = 0;

	if (*text == '\0')
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		value = value * 10 + (*text - '0');
		if (value > max)
			return -1;
	}
	return value;
}

static void clear_behind(struct lp_ip *ip, unsigned prefix)
{
	for (unsigned i = 0; i < sizeof(ip->bytes); i++) {
		unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;

		if (kept < 8)
			ip->bytes[i] &= (uint8_t)(0xff00u >> kept);
	}
}

int lp_network_parse(const char *text, struct lp_network *network, struct lp_error *error)
{
	const char *slash = strchrnul(text, '/');
	struct lp_ip ip;
	long least = 0;
	long most;
	long prefix;

	if (lp_ip_parse(text, (size_t)(slash - text), &ip) != 0)
		return lp_error_set(error, -EINVAL,
				    "\"%s\" is not a range of addresses, such as 10.0.0.0/8, fd00::/8 or 192.0.2.7",
				    text);

	/* A prefix counts the bits of the address as it was written. */
	most = memchr(text, ':', (size_t)(slash - text)) ? 128 : 32;
	if (most == 128 && ip.family == LP_FAMILY_IPV4)
		least = MAPPED_BITS;
	prefix = *slash ? parse_decimal(slash + 1, most) : most;
	if (prefix < least)
		return lp_error_set(error, -EINVAL, "\"%s\": what follows the / is a number from %ld to %ld", text,
				    least, most);

	network->ip = ip;
	network->prefix = (uint8_t)(prefix - least);
	clear_behind(&network->ip, network->prefix);
	return 0;
}

bool lp_network_contains(const struct lp_network *network, const struct lp_ip *ip)
{
	unsigned whole = network->prefix / 8;
	unsigned rest = network->prefix % 8;

	if (network->ip.family != ip->family || memcmp(network->ip.bytes, ip->bytes, whole) != 0)
		return false;
	return rest == 0 || (network->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}

static int parse_unix(const char *text, struct lp_listen_address *address, struct lp_error *error)
{
	const char *path = text + strlen("unix:");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t length = strcspn(path, ",");
	struct lp_socket_access access = {0};
	int status = path[length] ? lp_socket_access_parse(path + length + 1, text, &access, error) : 0;

	if (status)
		return status;
	if (length == 0)
		return lp_error_set(error, LP_EUSAGE, "\"%s\" has no path; write it like unix:/run/app.sock", text);
	if (length >= sizeof(un.sun_path))
		return lp_error_set(
			error, LP_EUSAGE,
			"\"%s\": the path has %zu bytes, and a unix socket's at most %zu; choose a shorter one", text,
			length, sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, length);
	*address = (struct lp_listen_address){
		.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1),
		.access = access,
	};
	address->socket.un = un;
	return 0;
}

static void set_socket(struct lp_listen_address *address, const struct lp_ip *ip, uint16_t port)
{
	*address = (struct lp_listen_address){0};
	if (ip->family == LP_FAMILY_IPV4) {
		address->length = sizeof(address->socket.in);
		address->socket.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&address->socket.in.sin_addr, ip->bytes, 4);
	} else {
		address->length = sizeof(address->socket.in6);
		address->socket.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		memcpy(&address->socket.in6.sin6_addr, ip->bytes, 16);
	}
}

/* The address of a name. */
static int look_up(const char *text, const char *host, struct lp_ip *ip, struct lp_error *error)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct in_addr abbreviated;
	uint16_t port;
	int status;

	if (inet_aton(host, &abbreviated))
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\": an IPv4 address is four decimal numbers without leading zeros, such as "
				    "127.0.0.1",
				    text);
	status = getaddrinfo(host, NULL, &hints, &found);
	if (status != 0)
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\": there is no address for the host \"%s\": %s; forms are " LISTEN_FORMS,
				    text, host, status == EAI_SYSTEM ? strerror(errno) : gai_strerror(status));
	lp_ip_from_socket(found->ai_addr, ip, &port);
	freeaddrinfo(found);
	return 0;
}

/* What stands before the last colon: an address, one in brackets, or a name. */
static int parse_host(const char *text, size_t length, struct lp_ip *ip, struct lp_error *error)
{
	char host[NI_MAXHOST];

	if (text[0] == '[') {
		/* An IPv4 address is taken in brackets only as part of an IPv6 one. */
		if (length > 2 && text[length - 1] == ']' && memchr(text, ':', length) &&
		    lp_ip_parse(text + 1, length - 2, ip) == 0)
			return 0;
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\": what stands in brackets is an IPv6 address, such as [::1]:3000", text);
	}
	if (memchr(text, ':', length))
		return lp_error_set(error, LP_EUSAGE, "\"%s\": an IPv6 address stands in brackets, such as [::1]:3000",
				    text);
	if (lp_ip_parse(text, length, ip) == 0)
		return 0;
	if (length >= sizeof(host))
		return lp_error_set(error, LP_EUSAGE, "\"%s\": the host's name is too long", text);
	memcpy(host, text, length);
	host[length] = '\0';
	return look_up(text, host, ip, error);
}

int lp_listen_address_parse(const char *text, struct lp_listen_address *address, struct lp_error *error)
{
	const char *colon = strrchr(text, ':');
	struct lp_ip ip = {.family = LP_FAMILY_IPV6};
	long port;
	int status;

	if (strncmp(text, "unix:", strlen("unix:")) == 0)
		return parse_unix(text, address, error);
	if (strchr(text, ','))
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\": \"%s\" does not belong after a port; mode=, user= and group= are for unix "
				    "paths, and each address has a --listen of its own",
				    text, strchr(text, ',') + 1);
	if (parse_decimal(text, UINT16_MAX) >= 0)
		return lp_error_set(error, LP_EUSAGE, "\"%s\" is not an address; did you mean :%s?", text, text);
	if (text[0] == '/')
		return lp_error_set(error, LP_EUSAGE, "\"%s\" is not an address; did you mean unix:%s?", text, text);
	if (!colon || (text[0] == '[' && colon[-1] != ']'))
		return lp_error_set(error, LP_EUSAGE, "\"%s\" has no port; forms are " LISTEN_FORMS, text);
	port = parse_decimal(colon + 1, UINT16_MAX);
	if (port < 0)
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\": \"%s\" is not a port from 0 to 65535; forms are " LISTEN_FORMS, text,
				    colon + 1);
	if (colon != text) {
		status = parse_host(text, (size_t)(colon - text), &ip, error);
		if (status != 0)
			return status;
	}
	set_socket(address, &ip, (uint16_t)port);
	address->both_families = colon == text;
	return 0;
}

void lp_listen_address_name(const char *text, char *name)
{
	bool is_unix = strncmp(text, "unix:", strlen("unix:")) == 0;

	snprintf(name, LP_LISTEN_TEXT_SIZE, "%.*s", (int)(is_unix ? strcspn(text, ",") : strlen(text)), text);
}

/* Paths are the same when they have the same name in the same folder. */
static bool is_same_path(const char *a, const char *b)
{
	const char *const paths[] = {a, b};
	const char *names[2];
	struct stat folders[2] = {0};

	for (int i = 0; i < 2; i++) {
		char folder[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
		const char *slash = strrchr(paths[i], '/');

		names[i] = slash ? slash + 1 : paths[i];
		snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(names[i] - paths[i]) : 1,
			 slash ? paths[i] : ".");
		if (stat(folder, &folders[i]) != 0)
			return strcmp(a, b) == 0;
	}
	return strcmp(names[0], names[1]) == 0 && folders[0].st_dev == folders[1].st_dev &&
	       folders[0].st_ino == folders[1].st_ino;
}

static bool is_any(const struct lp_listen_address *address)
{
	return address->socket.any.sa_family == AF_INET ? address->socket.in.sin_addr.s_addr == INADDR_ANY
							: IN6_IS_ADDR_UNSPECIFIED(&address->socket.in6.sin6_addr);
}

bool lp_listen_address_collides(const struct lp_listen_address *a, const struct lp_listen_address *b)
{
	sa_family_t families[] = {a->socket.any.sa_family, b->socket.any.sa_family};
	struct lp_ip ips[2];
	uint16_t ports[2];

	if (families[0] == AF_UNIX && families[1] == AF_UNIX)
		return is_same_path(a->socket.un.sun_path, b->socket.un.sun_path);
	if (families[0] == AF_UNIX || families[1] == AF_UNIX)
		return false;
	lp_ip_from_socket(&a->socket.any, &ips[0], &ports[0]);
	lp_ip_from_socket(&b->socket.any, &ips[1], &ports[1]);
	if (ports[0] != ports[1] || ports[0] == 0)
		return false;
	if (families[0] != families[1])
		return a->both_families || b->both_families;
	return is_any(a) || is_any(b) || lp_ip_equal(&ips[0], &ips[1]);
}

void lp_listen_address_format(const struct lp_listen_address *address, char *text)
{
	char host[LP_IP_TEXT_SIZE];
	struct lp_ip ip;
	uint16_t port;

	if (address->socket.any.sa_family == AF_UNIX) {
		snprintf(text, LP_LISTEN_TEXT_SIZE, "unix:%s", address->socket.un.sun_path);
		return;
	}
	lp_ip_from_socket(&address->socket.any, &ip, &port);
	lp_ip_format(&ip, host);
	if (address->both_families)
		snprintf(text, LP_LISTEN_TEXT_SIZE, ":%u", port);
	else
		snprintf(text, LP_LISTEN_TEXT_SIZE, ip.family == LP_FAMILY_IPV6 ? "[%s]:%u" : "%s:%u", host, port);
}
