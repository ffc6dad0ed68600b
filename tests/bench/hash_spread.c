/*
 * How evenly rendezvous hashing spreads clients: 100,000 addresses of each kind over 2 – 64 workers, keyed by their
 * text as `workers:hash(conn.ip)` does. For each, the busiest and the idlest worker's share in parts of the fair one,
 * and chi-square in parts of its degrees of freedom (workers - 1): about 1 when chance made the spread, far above when
 * some workers are favoured. The last column is the fair share and five standard deviations.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "route/hash.h"
#include "route/workers.h"

#define ADDRESSES 100000

struct spread {
	double largest;
	double smallest;
	double chi_square;
};

typedef struct lp_ip (*address_fn)(uint32_t i, uint64_t *random);

static uint64_t next_random(uint64_t *state)
{
	return lp_hash_weight((*state)++, 1);
}

static void write_number(uint8_t *bytes, unsigned length, uint64_t number)
{
	for (unsigned i = length; i-- > 0; number >>= 8)
		bytes[i] = (uint8_t)number;
}

static struct lp_ip ipv4(uint32_t number)
{
	struct lp_ip ip = {.family = LP_FAMILY_IPV4};

	write_number(ip.bytes, 4, number);
	return ip;
}

static struct lp_ip ipv6(uint64_t network, uint64_t host)
{
	struct lp_ip ip = {.family = LP_FAMILY_IPV6};

	write_number(ip.bytes, 8, network);
	write_number(ip.bytes + 8, 8, host);
	return ip;
}

static struct lp_ip ipv4_in_sequence(uint32_t i, uint64_t *random)
{
	(void)random;
	return ipv4(0x0a000000u + i);
}

static struct lp_ip ipv4_anywhere(uint32_t i, uint64_t *random)
{
	(void)i;
	return ipv4((uint32_t)next_random(random));
}

static struct lp_ip ipv6_in_one_64(uint32_t i, uint64_t *random)
{
	(void)random;
	return ipv6(0x20010db800000000u, i + 1u);
}

static struct lp_ip ipv6_one_in_each_64(uint32_t i, uint64_t *random)
{
	(void)random;
	return ipv6(0x20010db800000000u + i, 1);
}

static struct lp_ip ipv6_anywhere(uint32_t i, uint64_t *random)
{
	(void)i;
	uint64_t network = next_random(random);

	return ipv6(network, next_random(random));
}

static const struct {
	const char *name;
	address_fn address;
} kinds[] = {
	{"IPv4 in sequence", ipv4_in_sequence}, {"IPv4 random", ipv4_anywhere},
	{"IPv6 in one /64", ipv6_in_one_64},    {"IPv6 each in own /64", ipv6_one_in_each_64},
	{"IPv6 random", ipv6_anywhere},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static struct spread measure(address_fn address, const struct lp_workers *workers)
{
	struct spread spread = {.smallest = ADDRESSES};
	double fair = (double)ADDRESSES / workers->count;
	unsigned shares[256] = {0};
	uint64_t random = 1;

	for (uint32_t i = 0; i < ADDRESSES; i++) {
		struct lp_ip ip = address(i, &random);
		char text[LP_IP_TEXT_SIZE];

		shares[lp_workers_hash(workers, (struct lp_slice){text, lp_ip_format(&ip, text)}) - 1]++;
	}
	for (unsigned i = 0; i < workers->count; i++) {
		double share = shares[i] / fair;

		if (share > spread.largest)
			spread.largest = share;
		if (share < spread.smallest)
			spread.smallest = share;
		spread.chi_square += (shares[i] - fair) * (shares[i] - fair) / fair;
	}
	return spread;
}

/* Newton's method: nothing else here links libm, and one root is no reason to. */
static double root(double x)
{
	double guess = x > 1 ? x : 1;

	for (int i = 0; i < 60; i++)
		guess = (guess + x / guess) / 2;
	return guess;
}

static void print_row(unsigned worker_count)
{
	double fair = (double)ADDRESSES / worker_count;
	struct lp_workers workers;

	if (lp_workers_init(&workers, worker_count, 1) != 0)
		abort();
	for (unsigned id = 1; id <= worker_count; id++)
		lp_workers_set_usable(&workers, id, true);
	printf("%7u", worker_count);
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct spread spread = measure(kinds[kind].address, &workers);

		printf("   %6.3f %6.3f %6.2f", spread.largest, spread.smallest, spread.chi_square / (worker_count - 1));
	}
	printf("   %6.3f\n", 1 + 5 * root(fair * (1 - 1.0 / worker_count)) / fair);
	lp_workers_deinit(&workers);
}

int main(void)
{
	static const unsigned worker_counts[] = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64};

	printf("       ");
	for (size_t kind = 0; kind < KINDS; kind++)
		printf("   %-20.20s", kinds[kind].name);
	printf("\nworkers");
	for (size_t kind = 0; kind < KINDS; kind++)
		printf("      max    min   chi2");
	printf("   5sigma\n");
	for (size_t i = 0; i < sizeof(worker_counts) / sizeof(*worker_counts); i++)
		print_row(worker_counts[i]);
	return 0;
}
