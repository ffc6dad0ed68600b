/*
 * Made-up clients. Everything of a client is drawn from a hash of its number and of what is asked.
 *
 * Limits: all speak HTTP/1.1 to a Socket.IO server, so on_hello never has anything to run on.
 */
#include "tools/clients.h"

#include <stdio.h>
#include <string.h>

#include "route/hash.h"

enum subject { SUBJECT_PLACE, SUBJECT_OFFICE, SUBJECT_ADDRESS, SUBJECT_CONNECTIONS, SUBJECT_SID, SUBJECT_COOKIE };

#define TENANTS 100

/* Of each ten clients. */
#define IN_OFFICES 4
#define WITH_IPV6 3

static uint64_t draw_random(uint64_t number, enum subject subject)
{
	return lp_hash((struct lp_slice){(const char *)&number, sizeof(number)}, (uint64_t)subject + 1);
}

/* The k-th office is a k-th of the first. */
static uint64_t office_of(uint64_t number)
{
	unsigned tickets = 0;
	unsigned ticket;

	for (unsigned k = 1; k <= LP_CLIENT_OFFICES; k++)
		tickets += 2520 / k;
	ticket = (unsigned)(draw_random(number, SUBJECT_OFFICE) % tickets);
	for (unsigned k = 1; k < LP_CLIENT_OFFICES; k++) {
		if (ticket < 2520 / k)
			return k;
		ticket -= 2520 / k;
	}
	return LP_CLIENT_OFFICES;
}

/* 1.0.0.0 to 223.255.255.255, except for what no stranger has: 10.0.0.0/8 and 127.0.0.0/8. */
static void make_ipv4(uint64_t random, struct lp_ip *ip)
{
	ip->family = LP_FAMILY_IPV4;
	memcpy(ip->bytes, &random, 4);
	ip->bytes[0] = (uint8_t)(1 + (random >> 32) % 223);
	if (ip->bytes[0] == 10 || ip->bytes[0] == 127)
		ip->bytes[0]++;
}

/* 2001:db8::/32, as the documentation has it. */
static void make_ipv6(uint64_t random, struct lp_ip *ip)
{
	static const uint8_t prefix[] = {0x20, 0x01, 0x0d, 0xb8};

	ip->family = LP_FAMILY_IPV6;
	memcpy(ip->bytes, prefix, sizeof(prefix));
	memcpy(ip->bytes + 4, &random, 4);
	memcpy(ip->bytes + 8, &random, 8);
}

void lp_client_ip(uint64_t number, enum lp_clients where, struct lp_ip *ip)
{
	uint64_t place = draw_random(number, SUBJECT_PLACE);

	*ip = (struct lp_ip){0};
	if (where == LP_CLIENTS_BEHIND_NAT && place % 10 < IN_OFFICES)
		make_ipv4(draw_random(UINT64_MAX - office_of(number), SUBJECT_ADDRESS), ip);
	else if ((place >> 32) % 10 < WITH_IPV6)
		make_ipv6(draw_random(number, SUBJECT_ADDRESS), ip);
	else
		make_ipv4(draw_random(number, SUBJECT_ADDRESS), ip);
}

unsigned lp_client_connections(uint64_t number)
{
	return 1 + (unsigned)(draw_random(number, SUBJECT_CONNECTIONS) % LP_CLIENT_CONNECTIONS_MAX);
}

static void spell_id(uint64_t random, size_t length, char *text)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

	for (size_t i = 0; i < length; i++, random >>= 6)
		text[i] = letters[random % 64];
}

void lp_client_sid(uint64_t number, unsigned session, char *sid)
{
	uint64_t random = draw_random(number + ((uint64_t)session << 48), SUBJECT_SID);

	spell_id(random, 10, sid);
	spell_id(draw_random(random, SUBJECT_SID), 10, sid + 10);
	sid[20] = '\0';
}

size_t lp_client_request(uint64_t number, const struct lp_ip *ip, const char *sid, char *text)
{
	char address[LP_IP_TEXT_SIZE];
	int length;

	lp_ip_format(ip, address);
	length = snprintf(text, LP_CLIENT_REQUEST_SIZE,
			  "GET /socket.io/?EIO=4&transport=polling&t=%08x%s%s HTTP/1.1\r\n"
			  "Host: chat.example.com\r\n"
			  "Connection: keep-alive\r\n"
			  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
			  "Chrome/126.0.0.0 Safari/537.36\r\n"
			  "Accept: */*\r\n"
			  "Sec-Fetch-Site: same-origin\r\n"
			  "Sec-Fetch-Mode: cors\r\n"
			  "Referer: https://chat.example.com/rooms/harbour\r\n"
			  "Accept-Encoding: gzip, deflate, br\r\n"
			  "Accept-Language: en-GB,en;q=0.9\r\n"
			  "Cookie: theme=dark; session=%016llx; consent=yes\r\n"
			  "X-Tenant: tenant-%u\r\n"
			  "X-Forwarded-For: %s, 10.0.0.1\r\n"
			  "\r\n",
			  (unsigned)number, sid ? "&sid=" : "", sid ? sid : "",
			  (unsigned long long)draw_random(number, SUBJECT_COOKIE), (unsigned)(number % TENANTS),
			  address);
	return (size_t)length;
}
