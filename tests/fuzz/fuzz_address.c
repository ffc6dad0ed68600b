/*
 * Addresses, ranges and --listen, against inet_pton and a range taken apart by hand.
 *
 * Names are not looked up here: there are none.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdbool.h>

#include "base/address.h"
#include "fuzz.h"

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	(void)name;
	(void)service;
	(void)hints;
	(void)found;
	return EAI_NONAME;
}

static bool refer_to_pton(const char *text, size_t length, struct lp_ip *ip)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t bytes[16];

	*ip = (struct lp_ip){0};
	if (strlen(text) != length)
		return false;
	if (inet_pton(AF_INET, text, bytes) == 1) {
		ip->family = LP_FAMILY_IPV4;
		memcpy(ip->bytes, bytes, 4);
	} else if (inet_pton(AF_INET6, text, bytes) == 1) {
		bool ipv4 = memcmp(bytes, mapped, sizeof(mapped)) == 0;

		ip->family = ipv4 ? LP_FAMILY_IPV4 : LP_FAMILY_IPV6;
		memcpy(ip->bytes, ipv4 ? bytes + 12 : bytes, ipv4 ? 4 : 16);
	}
	return ip->family != 0;
}

/* The text is in a block of its own size without a NUL, so that a read past it is seen. */
static void check_ip(const char *text, const uint8_t *bytes, size_t length)
{
	char *exact = malloc(length + 1);
	char again[LP_IP_TEXT_SIZE];
	struct lp_ip ip, expected;

	FUZZ_CHECK(exact);
	memcpy(exact + 1, bytes, length);
	bool right = refer_to_pton(text, length, &expected);

	FUZZ_CHECK((lp_ip_parse(exact + 1, length, &ip) == 0) == right);
	free(exact);
	if (!right)
		return;
	FUZZ_CHECK(lp_ip_equal(&ip, &expected));
	FUZZ_CHECK(lp_ip_format(&ip, again) == strlen(again));
	FUZZ_CHECK(lp_ip_parse(again, strlen(again), &expected) == 0 && lp_ip_equal(&ip, &expected));
	FUZZ_CHECK(inet_ntop(ip.family == LP_FAMILY_IPV4 ? AF_INET : AF_INET6, ip.bytes, (char[LP_IP_TEXT_SIZE]){0},
			     LP_IP_TEXT_SIZE));
}

static bool bit(const struct lp_ip *ip, unsigned index)
{
	return ip->bytes[index / 8] >> (7 - index % 8) & 1;
}

static bool lies_in(const struct lp_network *network, const struct lp_ip *ip)
{
	bool same = network->ip.family == ip->family;

	for (unsigned i = 0; same && i < network->prefix; i++)
		same = bit(&network->ip, i) == bit(ip, i);
	return same;
}

static void check_network(const char *text)
{
	struct lp_error error = {0};
	struct lp_network network, again;
	char address[LP_IP_TEXT_SIZE];
	char *written = NULL;

	if (lp_network_parse(text, &network, &error) != 0) {
		FUZZ_CHECK(error.code != 0 && error.text[0]);
		FUZZ_CHECK(lp_network_parse(text, &network, NULL) != 0);
		return;
	}
	unsigned bits = network.ip.family == LP_FAMILY_IPV4 ? 32 : 128;

	FUZZ_CHECK(network.prefix <= bits && lp_network_contains(&network, &network.ip));
	for (unsigned i = network.prefix; i < bits; i++)
		FUZZ_CHECK(!bit(&network.ip, i));
	for (unsigned i = 0; i < bits; i++) {
		struct lp_ip other = network.ip;

		other.bytes[i / 8] ^= (uint8_t)(0x80 >> i % 8);
		FUZZ_CHECK(lp_network_contains(&network, &other) == lies_in(&network, &other));
	}
	lp_ip_format(&network.ip, address);
	FUZZ_CHECK(asprintf(&written, "%s/%u", address, network.prefix) > 0);
	FUZZ_CHECK(lp_network_parse(written, &again, NULL) == 0);
	FUZZ_CHECK(again.prefix == network.prefix && lp_ip_equal(&again.ip, &network.ip));
	free(written);
}

static void check_listen(const char *text)
{
	struct lp_error error = {0};
	struct lp_listen_address address, again;
	char written[LP_LISTEN_TEXT_SIZE];

	if (lp_listen_address_parse(text, &address, &error) != 0) {
		FUZZ_CHECK(error.code == LP_EUSAGE && error.text[0]);
		return;
	}
	lp_listen_address_format(&address, written);
	FUZZ_CHECK(lp_listen_address_parse(written, &again, NULL) == 0);
	FUZZ_CHECK(again.length == address.length && again.both_families == address.both_families);
	FUZZ_CHECK(memcmp(&again.socket, &address.socket, address.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char *text = fuzz_text(bytes, length);

	check_ip(text, bytes, length);
	check_network(text);
	check_listen(text);
	free(text);
	return 0;
}
